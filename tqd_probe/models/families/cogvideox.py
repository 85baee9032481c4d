"""CogVideoX text-to-video: v-prediction with zero terminal SNR (arXiv 2408.06072).

A variance-preserving model with whole timesteps: ``x_t = sqrt(abar) x0 + sqrt(1 -
abar) eps``, target ``v = sqrt(abar) eps - sqrt(1 - abar) x0`` (Salimans and Ho, 2022).
Its `sigma` is that of equal signal-to-noise ratio in flow matching,

    sigma = sqrt(1 - abar) / (sqrt(abar) + sqrt(1 - abar)),

and a given sigma means the timestep with the nearest level. The published loss weights
the error of x0 by ``1 / (1 - abar)``, which equals the error of v.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from transformers import T5EncoderModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
from tqd_probe.core.noise import broadcast_to_batch
from tqd_probe.models.module_groups import Grouping
from tqd_probe.models.pipeline import PipelineModel, network_dtype

SCHEDULERS = {
    cls.__name__: cls for cls in (CogVideoXDDIMScheduler, CogVideoXDPMScheduler)
}


class CogVideoXModel(PipelineModel):
    """Adapter of a `CogVideoXPipeline` directory; implements `VideoModel`."""

    family = "cogvideox"
    prediction = "v_prediction"
    pipeline_class = CogVideoXPipeline
    network_class = CogVideoXTransformer3DModel
    vae_takes_bf16 = True
    encoders = {"vae": AutoencoderKLCogVideoX, "text_encoder": T5EncoderModel}  # noqa: RUF012
    default_shape = ClipShape(frames=49, height=480, width=720, fps=8)
    lora_targets = r"transformer_blocks\.\d+\.attn1\.(to_q|to_k|to_v|to_out\.0)"
    grouping = Grouping(
        stacks=("transformer_blocks",),
        parts={
            "attn1": "self_attention",  # over text and video together
            "ff": "feed_forward",
            "norm1.norm": "self_attention",
            "norm2.norm": "feed_forward",
        },
        head=("norm_final.", "norm_out.", "proj_out."),
    )

    def native_default(self) -> ClipShape:
        """Return 480p clips of CogVideoX 1.0, or 768p of 1.5.

        Returns:
            The shape of the model cards.
        """
        if self.configs["transformer"].get("patch_size_t"):
            return ClipShape(frames=81, height=768, width=1360, fps=16)
        return self.default_shape

    def check_variant(self) -> None:
        """Check that the scheduler states a v-prediction.

        Raises:
            InputError: If the scheduler is of another class or prediction.
        """
        path = self.path / "scheduler" / "scheduler_config.json"
        config = read_json(path, "the noise schedule")
        name = config.get("_class_name") if isinstance(config, dict) else None
        if name not in SCHEDULERS:
            raise InputError(
                f"{path}: _class_name {name!r}; known: {', '.join(SCHEDULERS)}"
            )
        if config.get("prediction_type") != "v_prediction":
            raise InputError(
                f"{path}: prediction_type {config.get('prediction_type')!r}, expected"
                " 'v_prediction'; copy the checkpoint's own scheduler"
            )
        self._scheduler = config

    @cached_property
    def alphas(self) -> np.ndarray:
        """Cumulative alphas ``abar [1000]`` of the checkpoint's own schedule."""
        scheduler = SCHEDULERS[self._scheduler["_class_name"]].from_config(
            self._scheduler
        )
        return scheduler.alphas_cumprod.double().numpy()

    @cached_property
    def levels(self) -> np.ndarray:
        """Equivalent sigma of every timestep, rising."""
        noise, signal = np.sqrt(1 - self.alphas), np.sqrt(self.alphas)
        return noise / (signal + noise)

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Level of the first timestep, and pure noise."""
        return float(self.levels[0]), 1.0

    @property
    def timestep_levels(self) -> np.ndarray:
        """Levels of the timesteps, of which training draws each as often."""
        return self.levels

    @cached_property
    def _tables(self) -> dict[torch.device, torch.Tensor]:
        """Levels and alphas of the timesteps ``[2, T]``, by device."""
        return {}

    def _tables_on(self, device: torch.device) -> torch.Tensor:
        """Return levels and alphas on a device; they are copied there once.

        A copy from the host waits for all that a GPU was given before: every pass
        would begin when the one before has ended.
        """
        if device not in self._tables:
            both = torch.from_numpy(np.stack([self.levels, self.alphas]))
            with torch._C._DisableFuncTorch():  # not a value inside of a transform
                self._tables[device] = both.to(device)
        return self._tables[device]

    def timesteps(self, sigma: torch.Tensor) -> torch.Tensor:
        """Return the timesteps whose levels are nearest.

        Args:
            sigma: Levels ``[B]``.

        Returns:
            Whole timesteps ``[B]``.
        """
        levels = self._tables_on(sigma.device)[0]
        wanted = sigma.detach().double()[:, None]
        return (levels[None] - wanted).abs().argmin(dim=1)

    def nearest_levels(self, sigma: np.ndarray) -> np.ndarray:
        """Return the levels of the nearest timesteps that have any signal.

        Args:
            sigma: Wanted levels.

        Returns:
            Levels of timesteps, same shape.
        """
        known = self.levels[self.alphas > 0]
        wanted = np.asarray(sigma, dtype=np.float64)
        return known[np.abs(known - wanted[..., None]).argmin(-1)]

    def _roots(
        self, sigma: torch.Tensor, like: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return sqrt(abar) and sqrt(1 - abar) for a batch."""
        alphas = self._tables_on(sigma.device)[1][self.timesteps(sigma)]
        return broadcast_to_batch(alphas.sqrt(), like), broadcast_to_batch(
            (1 - alphas).sqrt(), like
        )

    def corrupt(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return ``sqrt(abar) x0 + sqrt(1 - abar) eps``.

        Args:
            x0: Clean latents ``[B, F, C, h, w]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``.

        Returns:
            Noisy latents, same shape.
        """
        signal, noise = self._roots(sigma, x0)
        return signal * x0 + noise * eps

    def target(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return ``v = sqrt(abar) eps - sqrt(1 - abar) x0``.

        Args:
            x0: Clean latents ``[B, F, C, h, w]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``.

        Returns:
            The training target, same shape.
        """
        signal, noise = self._roots(sigma, x0)
        return signal * eps - noise * x0

    def compression(self) -> tuple[int, int]:
        """Return frames per latent frame and pixels per side of a latent pixel.

        Returns:
            The temporal and the spatial factor of the autoencoder.
        """
        vae = self.configs["vae"]
        space = 2 ** (len(vae["block_out_channels"]) - 1)
        return int(vae["temporal_compression_ratio"]), space

    def frame_step(self) -> int:
        """Return the step in which the number of frames grows, from 1.

        Returns:
            Two latent frames: an even number of latent frames decodes to more frames
            than were encoded.
        """
        return 2 * self.compression()[0]

    @torch.no_grad()
    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip: posterior mode times the autoencoder's scaling factor.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents ``[F, C, h, w]`` on the CPU. For CogVideoX-1.5, whose
            patches span two latent frames, the first frame is repeated if needed: the
            pipeline, too, generates one more in front and drops it.
        """
        scale = self.configs["vae"]["scaling_factor"]
        latents = (self.encode_pixels(video)[0] * scale).transpose(0, 1)
        missing = -len(latents) % self.patch()[0]
        latents = torch.cat([latents[:1].expand(missing, -1, -1, -1), latents])
        return latents.float().cpu()

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with `CogVideoXPipeline.encode_prompt`.

        Args:
            caption: The caption; may be empty.

        Returns:
            ``{"encoder_hidden_states": [length, width]}`` on the CPU; the padding is
            part of it, as in the pipeline.
        """
        hidden, _ = self.load_encoders().encode_prompt(
            caption,
            do_classifier_free_guidance=False,
            max_sequence_length=self._text_length,
            device=self.device,
        )
        return {"encoder_hidden_states": hidden[0].float().cpu()}

    @property
    def _text_length(self) -> int:
        """Text tokens the network is made for; 226 in all published checkpoints."""
        return int(self.configs["transformer"].get("max_text_seq_length", 226))

    def _rotary(self, x_t: torch.Tensor) -> Any:
        """Return rotary embeddings as the pipeline makes them, where they are used."""
        if not self.configs["transformer"].get("use_rotary_positional_embeddings"):
            return None
        _, frames, _, height, width = x_t.shape
        space = self.compression()[1]
        pipe = self.partial_pipeline(transformer=self.network)
        pipe.vae_scale_factor_spatial = space
        return pipe._prepare_rotary_positional_embeddings(
            height * space, width * space, frames, x_t.device
        )

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer at the timestep whose level is nearest.

        Args:
            x_t: Noisy latents ``[B, F, C, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Text embeddings ``[B, length, width]``.

        Returns:
            Predicted v, same shape as the latents.
        """
        network: Any = self.network
        dtype = network_dtype(network, "patch_embed.proj")
        return network(
            hidden_states=x_t.to(dtype),
            encoder_hidden_states=conditioning["encoder_hidden_states"].to(dtype),
            timestep=self.timesteps(sigma),
            image_rotary_emb=self._rotary(x_t),
            return_dict=False,
        )[0]

    def call_arguments(self, shape: ClipShape, guidance: float) -> dict[str, Any]:
        """Return the arguments of the pipeline's call besides prompts, steps and seed.

        Args:
            shape: Frames and pixels.
            guidance: Classifier-free guidance scale.

        Returns:
            Keyword arguments.
        """
        more = {"max_sequence_length": self._text_length}
        return {**super().call_arguments(shape, guidance), **more}
