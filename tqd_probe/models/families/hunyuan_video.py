"""HunyuanVideo text-to-video: flow matching, distilled guidance (arXiv 2412.03603).

The network is distilled: the guidance scale is an input, `GUIDANCE` in training. Two
text encoders give token and pooled embeddings.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from transformers import CLIPTextModel, LlamaModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.models.module_groups import Grouping
from tqd_probe.models.original_names import HUNYUAN_VIDEO
from tqd_probe.models.pipeline import PipelineModel, network_dtype

GUIDANCE = 1.0  # guidance scale while training, as public trainers set it
STREAMS = r"(transformer_blocks|single_transformer_blocks)\.\d+\.attn\."
PROJECTIONS = "to_q|to_k|to_v|to_out\\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out"
PARTS = {
    "attn": "self_attention",  # over text and video together
    "ff": "feed_forward",
    "proj_mlp": "feed_forward",
    "proj_out": "feed_forward",
}


class HunyuanVideoModel(PipelineModel):
    """Adapter of a `HunyuanVideoPipeline` directory; implements `VideoModel`."""

    family = "hunyuan_video"
    pipeline_class = HunyuanVideoPipeline
    network_class = HunyuanVideoTransformer3DModel
    encoders = {  # noqa: RUF012
        "vae": AutoencoderKLHunyuanVideo,
        "text_encoder": LlamaModel,
        "text_encoder_2": CLIPTextModel,
    }
    tokenizers = ("tokenizer", "tokenizer_2")
    default_shape = ClipShape(frames=129, height=720, width=1280, fps=24)
    lora_targets = f"{STREAMS}({PROJECTIONS})"
    original_names = HUNYUAN_VIDEO
    grouping = Grouping(
        stacks=("transformer_blocks", "single_transformer_blocks"),
        parts=PARTS,
        head=("norm_out.", "proj_out."),
    )

    def check_variant(self) -> None:
        """Refuse networks that are conditioned on images.

        Raises:
            InputError: If the network wants an image.
        """
        kind = self.configs["transformer"].get("image_condition_type")
        if kind is not None:
            raise InputError(
                f"{self.path / 'transformer' / 'config.json'}: image_condition_type"
                f" {kind!r}: only text-to-video HunyuanVideo has an adapter"
            )

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with `HunyuanVideoPipeline.encode_prompt`.

        Args:
            caption: The caption; may be empty.

        Returns:
            Token embeddings ``encoder_hidden_states [length, width]``, their mask
            ``encoder_attention_mask [length]`` and ``pooled_projections [width]``, on
            the CPU.
        """
        hidden, pooled, mask = self.load_encoders().encode_prompt(
            caption, device=self.device
        )
        return {
            "encoder_hidden_states": hidden[0].float().cpu(),
            "encoder_attention_mask": mask[0].float().cpu(),
            "pooled_projections": pooled[0].float().cpu(),
        }

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer at the timestep ``1000 sigma``.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Output of `encode_caption`, batched.

        Returns:
            Predicted velocity, same shape as the latents.
        """
        network: Any = self.network
        dtype = network_dtype(network, "x_embedder.proj")
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        guidance = None
        if self.configs["transformer"].get("guidance_embeds", True):
            guidance = torch.full_like(sigma, 1000 * GUIDANCE, dtype=wide)
        return network(
            hidden_states=x_t.to(dtype),
            timestep=(1000 * sigma).to(wide),
            encoder_hidden_states=conditioning["encoder_hidden_states"].to(dtype),
            encoder_attention_mask=conditioning["encoder_attention_mask"].to(dtype),
            pooled_projections=conditioning["pooled_projections"].to(dtype),
            guidance=guidance,
            return_dict=False,
        )[0]
