"""Wan text-to-video: flow matching, velocity prediction (arXiv 2503.20314).

The pipeline's own code encodes captions and generates; noise is added by
`tqd_probe.noise`, never by the checkpoint's scheduler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from transformers import UMT5EncoderModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.errors import InputError
from tqd_probe.models.groups import Grouping
from tqd_probe.models.pipeline import PipelineModel, network_dtype

MAX_SEQUENCE_LENGTH = 512  # default of WanPipeline.__call__
GROUPING = Grouping(
    stacks=("blocks",),
    parts={
        "attn1": "self_attention",
        "attn2": "cross_attention",
        "norm2": "cross_attention",
        "ffn": "feed_forward",
        "scale_shift_table": "modulation",
    },
    head=("proj_out.", "scale_shift_table"),
    modulation=("condition_embedder.time_proj.",),
)


class WanModel(PipelineModel):
    """Adapter of a `WanPipeline` directory; implements `VideoModel`."""

    family = "wan"
    pipeline_class = WanPipeline
    network_class = WanTransformer3DModel
    encoders = {"vae": AutoencoderKLWan, "text_encoder": UMT5EncoderModel}  # noqa: RUF012
    default_shape = ClipShape(frames=81, height=480, width=832, fps=16)
    lora_targets = r"blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0)"
    grouping = GROUPING

    def check_variant(self) -> None:
        """Refuse the variants of Wan that this adapter does not serve.

        Raises:
            InputError: If the checkpoint has experts, an image encoder or timesteps
                per token.
        """
        unserved = {
            "transformer_2": "two experts (Wan 2.2 A14B)",
            "image_encoder": "image conditioning (I2V)",
        }
        for name, variant in unserved.items():
            if self.index.get(name) not in (None, [None, None]):
                raise InputError(
                    f"{self.path / 'model_index.json'}: {name}: Wan with {variant} has"
                    " no adapter yet; use a text-to-video checkpoint with one"
                    " transformer"
                )
        if self.index.get("expand_timesteps"):
            raise InputError(
                f"{self.path / 'model_index.json'}: expand_timesteps: Wan 2.2 TI2V has"
                " no adapter yet; use a text-to-video checkpoint of Wan 2.1"
            )

    @torch.no_grad()
    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip: posterior mode, normalised as `WanPipeline` expects.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents ``[C, F, h, w]`` on the CPU.
        """
        latents = self.encode_pixels(video)[0]
        config = self.load_encoders().vae.config
        mean, std = (
            torch.tensor(values, device=latents.device).view(-1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return ((latents - mean) / std).float().cpu()

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with `WanPipeline.encode_prompt`.

        Args:
            caption: The caption; may be empty.

        Returns:
            ``{"encoder_hidden_states": [length, width]}`` on the CPU, zero after the
            last token. The length is that of the pipeline's call, or the tokenizer's
            `model_max_length` where that is smaller.
        """
        pipe = self.load_encoders()
        length = min(MAX_SEQUENCE_LENGTH, pipe.tokenizer.model_max_length)
        hidden, _ = pipe.encode_prompt(
            caption,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            device=self.device,
        )
        return {"encoder_hidden_states": hidden[0].float().cpu()}

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer at the fractional timestep ``1000 sigma``.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Text embeddings ``[B, length, width]``.

        Returns:
            Predicted velocity, same shape as the latents.
        """
        network: Any = self.network
        dtype = network_dtype(network, "patch_embedding")
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        return network(
            hidden_states=x_t.to(dtype),
            timestep=(1000 * sigma).to(wide),
            encoder_hidden_states=conditioning["encoder_hidden_states"].to(dtype),
            return_dict=False,
        )[0]
