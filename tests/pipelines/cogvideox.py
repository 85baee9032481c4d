"""CogVideoX with each of its kinds of positions."""

from pipelines.parts import disturbed, t5_encoder, t5_tokenizer


def cogvideox(**options):
    """CogVideoX-2B: sincos positions, SNR shift 3."""
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    down, up = ("CogVideoXDownBlock3D",) * 4, ("CogVideoXUpBlock3D",) * 4
    vae = AutoencoderKLCogVideoX(
        down_block_types=down,
        up_block_types=up,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
        scaling_factor=0.7,
    )
    settings = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 8,
        "text_embed_dim": 16,
        "num_layers": 2,
        "sample_width": 4,
        "sample_height": 4,
        "sample_frames": 5,
        "patch_size": 2,
        "temporal_compression_ratio": 4,
        "max_text_seq_length": 20,
    }
    tokenizer = t5_tokenizer(20)
    shift = options.pop("snr_shift_scale", 3.0)
    return CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=t5_encoder("t5", len(tokenizer)),
        vae=vae.eval(),
        transformer=disturbed(CogVideoXTransformer3DModel(**{**settings, **options})),
        scheduler=CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=shift,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
    )


def cogvideox_rotary():
    """CogVideoX-5B: rotary positions, no SNR shift."""
    return cogvideox(use_rotary_positional_embeddings=True, snr_shift_scale=1.0)


def cogvideox_15():
    """CogVideoX-1.5: patches over two latent frames, a linear patch embedding."""
    return cogvideox(
        use_rotary_positional_embeddings=True, patch_size_t=2, snr_shift_scale=1.0
    )
