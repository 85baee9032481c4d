"""LTX-Video text-to-video: flow matching on strongly compressed latents.

HaCohen et al., 2024 (arXiv 2501.00103). The network takes packed latents ``[B, S, C]``
and positions scaled by the frame rate; here latents stay ``[B, C, F, h, w]`` and are
packed on the way into the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, LTXPipeline, LTXVideoTransformer3DModel
from transformers import T5EncoderModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.models.module_groups import Grouping
from tqd_probe.models.original_names import LTX
from tqd_probe.models.pipeline import PipelineModel, network_dtype

MAX_SEQUENCE_LENGTH = 128  # default of LTXPipeline.__call__


class LTXModel(PipelineModel):
    """Adapter of an `LTXPipeline` directory; implements `VideoModel`."""

    family = "ltx"
    pipeline_class = LTXPipeline
    network_class = LTXVideoTransformer3DModel
    vae_takes_bf16 = True
    encoders = {"vae": AutoencoderKLLTXVideo, "text_encoder": T5EncoderModel}  # noqa: RUF012
    default_shape = ClipShape(frames=161, height=512, width=704, fps=25)
    lora_targets = r"transformer_blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0)"
    original_names = LTX
    grouping = Grouping(
        stacks=("transformer_blocks",),
        parts={
            "attn1": "self_attention",
            "attn2": "cross_attention",
            "ff": "feed_forward",
        },
        head=("proj_out.", "scale_shift_table"),
        modulation=("time_embed.linear.",),
    )

    @torch.no_grad()
    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip: posterior mode, normalised as `LTXPipeline` expects.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents ``[C, F, h, w]`` on the CPU.
        """
        latents = self.encode_pixels(video)
        pipe = self.load_encoders()
        normal = pipe._normalize_latents(
            latents,
            pipe.vae.latents_mean,
            pipe.vae.latents_std,
            pipe.vae.config.scaling_factor,
        )
        return normal[0].float().cpu()

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with `LTXPipeline.encode_prompt`.

        Args:
            caption: The caption; may be empty.

        Returns:
            ``encoder_hidden_states [length, width]`` and the mask of its tokens
            ``encoder_attention_mask [length]``, 1 or 0, on the CPU.
        """
        hidden, mask, _, _ = self.load_encoders().encode_prompt(
            caption,
            do_classifier_free_guidance=False,
            max_sequence_length=MAX_SEQUENCE_LENGTH,
            device=self.device,
        )
        return {
            "encoder_hidden_states": hidden[0].float().cpu(),
            "encoder_attention_mask": mask[0].float().cpu(),
        }

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer at the timestep ``1000 sigma`` on packed latents.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Text embeddings and their mask.

        Returns:
            Predicted velocity, same shape as the latents.
        """
        network: Any = self.network
        dtype = network_dtype(network, "proj_in")
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        _, _, frames, height, width = x_t.shape
        (patch_t, patch), (time, space) = self.patch(), self._factors
        found = network(
            hidden_states=LTXPipeline._pack_latents(x_t.to(dtype), patch, patch_t),
            encoder_hidden_states=conditioning["encoder_hidden_states"].to(dtype),
            timestep=(1000 * sigma).to(wide),
            encoder_attention_mask=conditioning["encoder_attention_mask"],
            num_frames=frames // patch_t,
            height=height // patch,
            width=width // patch,
            rope_interpolation_scale=(time / self.clip_shape.fps, space, space),
            return_dict=False,
        )[0]
        return LTXPipeline._unpack_latents(
            found, frames // patch_t, height // patch, width // patch, patch, patch_t
        )

    @property
    def _factors(self) -> tuple[int, int]:
        """The autoencoder's compression factors, computed once."""
        if not hasattr(self, "_known_factors"):
            self._known_factors = self.compression()
        return self._known_factors

    def call_arguments(self, shape: ClipShape, guidance: float) -> dict[str, Any]:
        """Return the arguments of the pipeline's call besides prompts, steps and seed.

        Args:
            shape: Frames, pixels and frame rate.
            guidance: Classifier-free guidance scale.

        Returns:
            Keyword arguments.
        """
        return {**super().call_arguments(shape, guidance), "frame_rate": shape.fps}
