"""The parts of the `tiny` checkpoint, untrained: sizes and nothing else."""

from __future__ import annotations

from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from tqd_probe.clips import synthetic

TRAIN_SEED = 1000  # clips the captions, and so the vocabulary, come from
TEXT_LENGTH = 32
Z = 62  # latent channels
HEADS, WIDE_HEADS = 4, 6  # of 32 channels: `tiny`, and a wider one of studies
LARGE_HEADS = 15  # 18 million parameters: small proxies are known to rank worse
TEXT_SIZES = {  # of a text encoder of two layers of width 64
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}


def new_vae(mean: list[float], std: list[float]) -> AutoencoderKLWan:
    """Build the autoencoder: 16 x 16 pixels and 4 frames to one latent, as Wan 2.2."""
    return AutoencoderKLWan(
        base_dim=64,
        decoder_base_dim=44,
        z_dim=Z,
        dim_mult=[1, 1, 1],
        num_res_blocks=0,
        temperal_downsample=[True, True],
        patch_size=4,
        in_channels=48,
        out_channels=48,
        scale_factor_spatial=16,
        latents_mean=mean,
        latents_std=std,
    )


def new_transformer(heads: int = HEADS) -> WanTransformer3DModel:
    """Build the transformer: 80 tokens for a native clip.

    Args:
        heads: Attention heads of 32 channels; `HEADS` are `tiny`.

    Returns:
        The network, its weights random.
    """
    return WanTransformer3DModel(
        patch_size=(1, 1, 1),
        num_attention_heads=heads,
        attention_head_dim=32,
        in_channels=Z,
        out_channels=Z,
        text_dim=64,
        freq_dim=64,
        ffn_dim=96 * heads,
        num_layers=5,
        rope_max_seq_len=64,
    )


def new_tokenizer() -> T5Tokenizer:
    """Build the tokenizer: one token per caption word, letters for all others."""
    words: set[str] = set()
    for index in range(3000):
        words.update(synthetic.synthetic_clip(index, TRAIN_SEED).caption.split())
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -4.0)]
    vocab += [(f"\u2581{word}", -2.0) for word in sorted(words)]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,'!?-"
    taken = {word for word, _ in vocab}
    vocab += [(letter, -6.0) for letter in letters if letter not in taken]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=TEXT_LENGTH)


def new_text_encoder(vocab_size: int) -> UMT5EncoderModel:
    """Build the text encoder."""
    return UMT5EncoderModel(UMT5Config(vocab_size=vocab_size, **TEXT_SIZES))
