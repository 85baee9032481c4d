"""HunyuanVideo-1.5 text-to-video: flow matching, two text streams, no distillation.

The network's input also has channels for an image and its mask; they are zero for
text-to-video, as in `HunyuanVideo15Pipeline`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from transformers import Qwen2_5_VLTextModel, T5EncoderModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.models.families.hunyuan_video import PARTS, PROJECTIONS, STREAMS
from tqd_probe.models.module_groups import Grouping
from tqd_probe.models.pipeline import PipelineModel, network_dtype

IMAGE_TOKENS = 729  # HunyuanVideo15Pipeline.vision_num_semantic_tokens


class HunyuanVideo15Model(PipelineModel):
    """Adapter of a `HunyuanVideo15Pipeline` directory; implements `VideoModel`."""

    family = "hunyuan_video_15"
    pipeline_class = HunyuanVideo15Pipeline
    network_class = HunyuanVideo15Transformer3DModel
    encoders = {  # noqa: RUF012
        "vae": AutoencoderKLHunyuanVideo15,
        "text_encoder": Qwen2_5_VLTextModel,
        "text_encoder_2": T5EncoderModel,
    }
    tokenizers = ("tokenizer", "tokenizer_2")
    batched = False  # the autoencoder of diffusers 0.42 decodes one clip at a time
    default_shape = ClipShape(frames=121, height=480, width=848, fps=24)
    lora_targets = f"{STREAMS}({PROJECTIONS})"
    grouping = Grouping(
        stacks=("transformer_blocks",), parts=PARTS, head=("norm_out.", "proj_out.")
    )

    def check_variant(self) -> None:
        """Refuse the step-distilled variant, which also takes a second timestep.

        Raises:
            InputError: If the network uses mean flow.
        """
        if self.configs["transformer"].get("use_meanflow"):
            raise InputError(
                f"{self.path / 'transformer' / 'config.json'}: use_meanflow: the"
                " step-distilled HunyuanVideo-1.5 is not trained by flow matching; use"
                " the base checkpoint"
            )

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with `HunyuanVideo15Pipeline.encode_prompt`.

        Args:
            caption: The caption; may be empty. Text in quotation marks is also
                encoded letter by letter.

        Returns:
            Embeddings ``[length, width]`` and masks ``[length]`` of both streams, by
            the names of the network's arguments, on the CPU.
        """
        found = self.load_encoders().encode_prompt(caption, device=self.device)
        names = (
            "encoder_hidden_states",
            "encoder_attention_mask",
            "encoder_hidden_states_2",
            "encoder_attention_mask_2",
        )
        return {name: part[0].float().cpu() for name, part in zip(names, found)}

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer at the timestep ``1000 sigma``, without an image.

        The timestep has the type of the latents, as in the pipeline: the network casts
        its embedding to the timestep's type, so bfloat16 rounds the timestep.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Output of `encode_caption`, batched.

        Returns:
            Predicted velocity, same shape as the latents.
        """
        network: Any = self.network
        dtype = network_dtype(network, "x_embedder.proj")
        x_t = x_t.to(dtype)
        no_mask = torch.zeros_like(x_t[:, :1])
        image_channels = [torch.zeros_like(x_t), no_mask]
        width = self.configs["transformer"]["image_embed_dim"]
        return network(
            hidden_states=torch.cat([x_t, *image_channels], dim=1),
            timestep=(1000 * sigma).to(dtype),
            image_embeds=x_t.new_zeros(len(x_t), IMAGE_TOKENS, width),
            **{name: part.to(dtype) for name, part in conditioning.items()},
            return_dict=False,
        )[0]

    def call_arguments(self, shape: ClipShape, guidance: float) -> dict[str, Any]:
        """Return the arguments of the pipeline's call besides prompts, steps and seed.

        Args:
            shape: Frames and pixels.
            guidance: Not an argument of this pipeline's call (`full_pipeline`).

        Returns:
            Keyword arguments.
        """
        found = super().call_arguments(shape, guidance)
        found.pop("guidance_scale")
        return found

    def full_pipeline(self, guidance: float) -> Any:
        """Load the pipeline with its guider set.

        Args:
            guidance: Classifier-free guidance scale.

        Returns:
            The pipeline, on the device.
        """
        pipe = super().full_pipeline(guidance)
        pipe.guider = pipe.guider.new(guidance_scale=guidance)
        return pipe
