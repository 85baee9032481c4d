"""Wan text-to-video: flow matching, velocity prediction (arXiv 2503.20314).

Wan 2.1, Wan 2.2 TI2V-5B (timesteps per token) and the two experts of Wan 2.2 A14B.
The pipeline's own code encodes captions and generates; noise is added by
`tqd_probe.core.noise`, never by the checkpoint's scheduler.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from transformers import UMT5EncoderModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.models.module_groups import Grouping
from tqd_probe.models.original_names import WAN
from tqd_probe.models.pipeline import PipelineModel, network_dtype

MAX_SEQUENCE_LENGTH = 512  # default of WanPipeline.__call__
EXPERTS = {"high": "transformer", "low": "transformer_2"}  # noise above, below


class WanModel(PipelineModel):
    """Adapter of a `WanPipeline` directory; implements `VideoModel`."""

    family = "wan"
    pipeline_class: ClassVar[Any] = WanPipeline
    network_class = WanTransformer3DModel
    encoders = {"vae": AutoencoderKLWan, "text_encoder": UMT5EncoderModel}  # noqa: RUF012
    default_shape = ClipShape(frames=81, height=480, width=832, fps=16)
    lora_targets = r"blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0)"
    original_names = WAN
    grouping = Grouping(
        stacks=("blocks",),
        parts={
            "attn1": "self_attention",
            "attn2": "cross_attention",
            "norm2": "cross_attention",
            "ffn": "feed_forward",
        },
        head=("proj_out.", "scale_shift_table"),
        modulation=("condition_embedder.time_proj.",),
    )

    def _choose_network(self) -> str:
        """Name the expert's component; a model of one network has none."""
        index = self.path / "model_index.json"
        if self.index.get("transformer_2") in (None, [None, None]):
            return super()._choose_network()
        boundary = self.index.get("boundary_ratio")
        if not isinstance(boundary, float) or not 0 < boundary < 1:
            raise InputError(
                f"{index}: boundary_ratio: {boundary!r} is not the sigma at which"
                " the two experts meet; it is 0.875 for text-to-video, 0.9 for"
                " image-to-video"
            )
        if self.expert not in EXPERTS:
            given = f"--expert {self.expert}: " if self.expert else ""
            raise InputError(
                f"{given}{self.source} has two experts that meet at sigma {boundary:g};"
                " choose --expert high or --expert low (gradsim also takes both)"
            )
        return EXPERTS[self.expert]

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The expert's side of the boundary; all levels for a single network."""
        if self.expert is None:
            return 0.0, 1.0
        boundary = float(self.index["boundary_ratio"])
        return (boundary, 1.0) if self.expert == "high" else (0.0, boundary)

    def native_default(self) -> ClipShape:
        """Return 480p clips, or 704p for the autoencoder of TI2V-5B.

        Returns:
            The shape, of the official inference code.
        """
        if self.index.get("expand_timesteps"):
            return ClipShape(frames=121, height=704, width=1280, fps=24)
        return self.default_shape

    def compression(self) -> tuple[int, int]:
        """Return frames per latent frame and pixels per side of a latent pixel.

        Returns:
            The temporal and the spatial factor of the autoencoder.
        """
        vae = self.configs["vae"]
        return (
            int(vae.get("scale_factor_temporal", 4)),
            int(vae.get("scale_factor_spatial", 8)),
        )

    def patch(self) -> tuple[int, int]:
        """Return latent frames and latent pixels per side of a token.

        Returns:
            The temporal and the spatial patch size.
        """
        size = self.configs[self.network_name]["patch_size"]
        return int(size[0]), int(size[1])

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

    def text_length(self, tokenizer: Any) -> int:
        """Return the number of text tokens.

        Args:
            tokenizer: The checkpoint's tokenizer.

        Returns:
            The default of the pipeline's call, or the tokenizer's `model_max_length` if
            smaller. Always the default for networks with image tokens: they find these
            by counting 512 text tokens from the end.
        """
        if self.configs[self.network_name].get("added_kv_proj_dim") is not None:
            return MAX_SEQUENCE_LENGTH
        return min(MAX_SEQUENCE_LENGTH, tokenizer.model_max_length)

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with the pipeline's `encode_prompt`.

        Args:
            caption: The caption; may be empty.

        Returns:
            ``{"encoder_hidden_states": [length, width]}`` on the CPU, zero after the
            last token.
        """
        pipe = self.load_encoders()
        hidden, _ = pipe.encode_prompt(
            caption,
            do_classifier_free_guidance=False,
            max_sequence_length=self.text_length(pipe.tokenizer),
            device=self.device,
        )
        return {"encoder_hidden_states": hidden[0].float().cpu()}

    def timesteps(self, x_t: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Return the fractional timesteps ``1000 sigma``.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.

        Returns:
            ``[B]``, or ``[B, tokens]`` for checkpoints with one timestep per token.
        """
        wide = torch.float64 if x_t.dtype == torch.float64 else torch.float32
        steps = (1000 * sigma).to(wide)
        if not self.index.get("expand_timesteps"):
            return steps
        frames, side = self.patch()
        _, _, count, height, width = x_t.shape
        tokens = (count // frames) * (height // side) * (width // side)
        return steps[:, None].expand(-1, tokens)

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
        x_t = x_t.to(dtype)
        return network(
            hidden_states=x_t,
            timestep=self.timesteps(x_t, sigma),
            encoder_hidden_states=conditioning["encoder_hidden_states"].to(dtype),
            return_dict=False,
        )[0]
