"""The parts of the tiny CogVideoX, untrained: sizes and nothing else.

Where they can be, they are those of `tiny` (`parts.py`): clips of 17 frames of
64 x 64 become 80 tokens, the width is 128, captions are split by the same tokenizer.
What is CogVideoX's own: eightfold compression in space with patches of two places, text
and video in one attention, a T5 encoder, zero terminal signal-to-noise and v.
"""

from __future__ import annotations

from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel

from analyses.tiny.parts import TEXT_SIZES

TEXT_LENGTH = 24  # tokens; padding included, which CogVideoX attends to
Z = 16  # latent channels, as published


def new_vae(scaling_factor: float = 1.0) -> AutoencoderKLCogVideoX:
    """Build the autoencoder: 8 x 8 pixels and 4 frames to one latent."""
    return AutoencoderKLCogVideoX(
        block_out_channels=(16, 32, 64, 64),
        latent_channels=Z,
        layers_per_block=1,
        norm_num_groups=4,
        temporal_compression_ratio=4,
        sample_height=64,
        sample_width=64,
        scaling_factor=scaling_factor,
    )


def new_transformer() -> CogVideoXTransformer3DModel:
    """Build the transformer: 80 video tokens for a native clip, and the text."""
    return CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=32,
        in_channels=Z,
        out_channels=Z,
        time_embed_dim=64,
        text_embed_dim=64,
        num_layers=4,
        sample_width=8,
        sample_height=8,
        sample_frames=17,
        max_text_seq_length=TEXT_LENGTH,
        spatial_interpolation_scale=1.0,
    )


def new_text_encoder(vocab_size: int) -> T5EncoderModel:
    """Build the text encoder, of the sizes of that of `tiny`."""
    sizes = TEXT_SIZES | {"feed_forward_proj": "gated-gelu"}
    return T5EncoderModel(T5Config(vocab_size=vocab_size, **sizes))


def new_scheduler() -> CogVideoXDDIMScheduler:
    """Build the noise schedule of CogVideoX-2B, as published."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=3.0,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
