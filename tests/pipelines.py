"""Complete small pipelines of every class, with random weights.

Built from diffusers' and transformers' own configuration classes and saved with
`save_pretrained`, so that tests load them as users load theirs. Zero and one
initialisations are disturbed: they would hide faults.
"""

import json

import numpy
import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,"


def disturbed(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def t5_tokenizer(length=24):
    from transformers import T5Tokenizer

    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    vocab += [(letter, -3.0) for letter in LETTERS]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=length)


def t5_encoder(kind, vocab_size, width=16):
    import transformers

    config = {"umt5": transformers.UMT5Config, "t5": transformers.T5Config}[kind]
    model = {"umt5": transformers.UMT5EncoderModel, "t5": transformers.T5EncoderModel}
    return model[kind](
        config(
            vocab_size=vocab_size, d_model=width, d_kv=8, d_ff=16, num_layers=1,
            num_heads=2, dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
        )
    ).eval()  # fmt: skip


def word_tokenizer(texts, length, chat=None):
    """A tokenizer with a word for every word of some texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]
    )
    words = [w for text in texts for w, _ in split.pre_tokenize_str(text)]
    words += ["a", "cat", "dog", "walking", "red", "blue", "circle", "moving"]
    known = {word: place for place, word in enumerate(dict.fromkeys(words), start=3)}
    known |= {"<pad>": 0, "</s>": 1, "<unk>": 2}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=length, pad_token="<pad>",
        eos_token="</s>", unk_token="<unk>", padding_side="right",
    )  # fmt: skip
    made.chat_template = chat
    return made


def wan_vae(**options):
    from diffusers import AutoencoderKLWan

    settings = {
        "base_dim": 8, "z_dim": 4, "dim_mult": [1, 1, 1], "num_res_blocks": 1,
        "temperal_downsample": [True, True], "patch_size": 2, "in_channels": 12,
        "out_channels": 12, "scale_factor_spatial": 8,
        "latents_mean": [0.1, -0.2, 0.0, 0.3], "latents_std": [0.5, 1.5, 1.0, 2.0],
    }  # fmt: skip
    return AutoencoderKLWan(**{**settings, **options}).eval()


def wan_transformer(**options):
    from diffusers import WanTransformer3DModel

    settings = {
        "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12,
        "in_channels": 4, "out_channels": 4, "text_dim": 16, "freq_dim": 16,
        "ffn_dim": 32, "num_layers": 2, "rope_max_seq_len": 16,
    }  # fmt: skip
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
        **wan_parts(), transformer=wan_transformer(), transformer_2=wan_transformer(),
        boundary_ratio=0.875,
    )  # fmt: skip


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
        hidden_size=8, projection_dim=8, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, intermediate_size=16, patch_size=16,
    )  # fmt: skip
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
        **wan_parts(), transformer=wan_transformer(in_channels=12),
        transformer_2=wan_transformer(in_channels=12), boundary_ratio=0.9,
    )  # fmt: skip


def wan_image_tokens():
    """Wan 2.2 TI2V as image-to-video: the clean first latent frame at timestep 0."""
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        **wan_parts(), transformer=wan_transformer(), expand_timesteps=True
    )


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
        down_block_types=down, up_block_types=up, block_out_channels=(8, 8, 8, 8),
        latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4, scaling_factor=0.7,
    )  # fmt: skip
    settings = {
        "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4,
        "out_channels": 4, "time_embed_dim": 8, "text_embed_dim": 16, "num_layers": 2,
        "sample_width": 4, "sample_height": 4, "sample_frames": 5, "patch_size": 2,
        "temporal_compression_ratio": 4, "max_text_seq_length": 20,
    }  # fmt: skip
    tokenizer = t5_tokenizer(20)
    shift = options.pop("snr_shift_scale", 3.0)
    return CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=t5_encoder("t5", len(tokenizer)),
        vae=vae.eval(),
        transformer=disturbed(CogVideoXTransformer3DModel(**{**settings, **options})),
        scheduler=CogVideoXDDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True,
            snr_shift_scale=shift, timestep_spacing="trailing", clip_sample=False,
        ),
    )  # fmt: skip


def cogvideox_rotary():
    """CogVideoX-5B: rotary positions, no SNR shift."""
    return cogvideox(use_rotary_positional_embeddings=True, snr_shift_scale=1.0)


def cogvideox_15():
    """CogVideoX-1.5: patches over two latent frames, a linear patch embedding."""
    return cogvideox(
        use_rotary_positional_embeddings=True, patch_size_t=2, snr_shift_scale=1.0
    )


def ltx():
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXPipeline,
        LTXVideoTransformer3DModel,
    )

    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8), layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4, timestep_conditioning=False, patch_size=2,
        patch_size_t=1, scaling_factor=0.8,
    )  # fmt: skip
    vae.latents_mean.copy_(torch.linspace(-0.3, 0.4, 8))
    vae.latents_std.copy_(torch.linspace(0.5, 1.5, 8))
    tokenizer = t5_tokenizer()
    return LTXPipeline(
        tokenizer=tokenizer,
        text_encoder=t5_encoder("t5", len(tokenizer)),
        vae=vae.eval(),
        transformer=disturbed(
            LTXVideoTransformer3DModel(
                in_channels=8, out_channels=8, num_attention_heads=2,
                attention_head_dim=8, cross_attention_dim=16, num_layers=2,
                caption_channels=16,
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_image_seq_len=1024,
            max_image_seq_len=4096, base_shift=0.95, max_shift=2.05,
            shift_terminal=0.1,
        ),
    )  # fmt: skip


def hunyuan_video():
    from diffusers import (
        AutoencoderKLHunyuanVideo,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoPipeline,
        HunyuanVideoTransformer3DModel,
    )
    from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import (
        DEFAULT_PROMPT_TEMPLATE,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel

    words = word_tokenizer([DEFAULT_PROMPT_TEMPLATE["template"]], 512)
    short = word_tokenizer([], 77)
    llama = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16,
        num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    clip = CLIPTextConfig(
        vocab_size=len(short), hidden_size=8, intermediate_size=16, projection_dim=8,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=77,
        pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1,
        norm_num_groups=4, mid_block_add_attention=True, scaling_factor=0.476986,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
    )  # fmt: skip
    return HunyuanVideoPipeline(
        text_encoder=LlamaModel(llama).eval(),
        tokenizer=words,
        text_encoder_2=CLIPTextModel(clip).eval(),
        tokenizer_2=short,
        vae=vae.eval(),
        transformer=disturbed(
            HunyuanVideoTransformer3DModel(
                in_channels=4, out_channels=4, num_attention_heads=2,
                attention_head_dim=12, num_layers=1, num_single_layers=1,
                num_refiner_layers=1, patch_size=2, patch_size_t=1,
                guidance_embeds=True, text_embed_dim=16, pooled_projection_dim=8,
                rope_axes_dim=(4, 4, 4),
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )  # fmt: skip


def hunyuan_video_15():
    from diffusers import (
        AutoencoderKLHunyuanVideo15,
        ClassifierFreeGuidance,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideo15Pipeline,
        HunyuanVideo15Transformer3DModel,
    )
    from transformers import (
        ByT5Tokenizer,
        Qwen2_5_VLTextConfig,
        Qwen2_5_VLTextModel,
    )

    chat = (  # the pipeline drops the first 108 tokens, this template has more
        "{{ 'system ' * 60 }}{% for m in messages %}"
        "{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}"
    )
    message = HunyuanVideo15Pipeline.__init__.__code__.co_consts
    words = word_tokenizer(
        [text for text in message if isinstance(text, str) and " " in text], 2000, chat
    )
    qwen = Qwen2_5_VLTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16,
        num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=2,
        rope_scaling={"mrope_section": [1, 1, 2], "rope_type": "default"},
        max_position_embeddings=2000, bos_token_id=1, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    bytes_ = ByT5Tokenizer()
    vae = AutoencoderKLHunyuanVideo15(
        in_channels=3, out_channels=3, latent_channels=4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1,
        spatial_compression_ratio=8, temporal_compression_ratio=4,
        scaling_factor=1.03682,
    )  # fmt: skip
    return HunyuanVideo15Pipeline(
        text_encoder=Qwen2_5_VLTextModel(qwen).eval(),
        tokenizer=words,
        text_encoder_2=t5_encoder("t5", len(bytes_), 8),
        tokenizer_2=bytes_,
        vae=vae.eval(),
        transformer=disturbed(
            HunyuanVideo15Transformer3DModel(
                in_channels=9, out_channels=4, num_attention_heads=2,
                attention_head_dim=12, num_layers=1, num_refiner_layers=1,
                patch_size=1, patch_size_t=1, text_embed_dim=16, text_embed_2_dim=8,
                image_embed_dim=8, rope_axes_dim=(4, 4, 4), target_size=32,
                task_type="t2v",
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        guider=ClassifierFreeGuidance(guidance_scale=1.0),
    )  # fmt: skip


# name: builder, (frames, height, width, fps) of its native clips
PIPELINES = {
    "wan": (wan, (5, 32, 32, 16)),
    "wan_experts": (wan_experts, (5, 32, 32, 16)),
    "wan_tokens": (wan_tokens, (5, 32, 32, 16)),
    "wan_image": (wan_image, (5, 32, 32, 16)),
    "wan_image_experts": (wan_image_experts, (5, 32, 32, 16)),
    "wan_image_tokens": (wan_image_tokens, (5, 32, 32, 16)),
    "cogvideox": (cogvideox, (9, 32, 32, 16)),
    "cogvideox_rotary": (cogvideox_rotary, (9, 32, 32, 16)),
    "cogvideox_15": (cogvideox_15, (9, 32, 32, 16)),
    "ltx": (ltx, (9, 32, 32, 16)),
    "hunyuan_video": (hunyuan_video, (5, 32, 32, 16)),
    "hunyuan_video_15": (hunyuan_video_15, (5, 32, 32, 16)),
}


def build(name, folder):
    """Save the pipeline of a name; return its folder."""
    builder, shape = PIPELINES[name]
    torch.manual_seed(11)
    builder().save_pretrained(folder)
    keys = ("num_frames", "height", "width", "fps")
    (folder / "native_clip.json").write_text(json.dumps(dict(zip(keys, shape))))
    return folder


def first_frames(model, count=2):
    """First frames for image-to-video, None for text-to-video."""
    if not model.takes_images:
        return None
    from tqd_probe.clips.synthetic import synthetic_clip

    clips = [synthetic_clip(i, 1).read(model.native) for i in range(count)]
    return numpy.stack([clip[0] for clip in clips])
