"""Wan 2.1 and 2.2: text-to-video, two experts, a timestep per token, images."""

from pipelines.parts import disturbed, t5_encoder, t5_tokenizer


def wan_vae(**options):
    from diffusers import AutoencoderKLWan

    settings = {
        "base_dim": 8,
        "z_dim": 4,
        "dim_mult": [1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [True, True],
        "patch_size": 2,
        "in_channels": 12,
        "out_channels": 12,
        "scale_factor_spatial": 8,
        "latents_mean": [0.1, -0.2, 0.0, 0.3],
        "latents_std": [0.5, 1.5, 1.0, 2.0],
    }
    return AutoencoderKLWan(**{**settings, **options}).eval()


def wan_transformer(**options):
    from diffusers import WanTransformer3DModel

    settings = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 16,
        "freq_dim": 16,
        "ffn_dim": 32,
        "num_layers": 2,
        "rope_max_seq_len": 16,
    }
    return disturbed(WanTransformer3DModel(**{**settings, **options}))


def wan_scheduler():
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def wan_parts():
    tokenizer = t5_tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": t5_encoder("umt5", len(tokenizer)),
        "vae": wan_vae(),
        "scheduler": wan_scheduler(),
    }


def wan():
    from diffusers import WanPipeline

    return WanPipeline(**wan_parts(), transformer=wan_transformer())


def wan_experts():
    from diffusers import WanPipeline

    return WanPipeline(
        **wan_parts(),
        transformer=wan_transformer(),
        transformer_2=wan_transformer(),
        boundary_ratio=0.875,
    )


def wan_tokens():
    """Wan 2.2 TI2V: one timestep per token, stronger compression in space."""
    from diffusers import WanPipeline

    parts = {**wan_parts(), "vae": wan_vae(scale_factor_spatial=8)}
    return WanPipeline(**parts, transformer=wan_transformer(), expand_timesteps=True)


def wan_image():
    """Wan 2.1 image-to-video: first frame beside the latents, and CLIP features."""
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    vision = CLIPVisionConfig(
        hidden_size=8,
        projection_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        intermediate_size=16,
        patch_size=16,
    )
    return WanImageToVideoPipeline(
        **wan_parts(),
        transformer=wan_transformer(in_channels=12, image_dim=8, added_kv_proj_dim=24),
        image_encoder=CLIPVisionModel(vision).eval(),
        image_processor=CLIPImageProcessor(crop_size=32, size=32),
    )


def wan_image_experts():
    """Wan 2.2 I2V-A14B: the first frame beside the latents, two experts."""
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        **wan_parts(),
        transformer=wan_transformer(in_channels=12),
        transformer_2=wan_transformer(in_channels=12),
        boundary_ratio=0.9,
    )


def wan_image_tokens():
    """Wan 2.2 TI2V as image-to-video: the clean first latent frame at timestep 0."""
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        **wan_parts(), transformer=wan_transformer(), expand_timesteps=True
    )
