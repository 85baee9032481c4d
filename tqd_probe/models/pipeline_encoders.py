"""Encode clips and captions with a pipeline's autoencoder and text encoders."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel

from tqd_probe.core.errors import InputError
from tqd_probe.models.base import Conditioned
from tqd_probe.models.placement import align
from tqd_probe.models.weights import load_component

# Clips with more pixels are encoded in overlapping tiles: more than the native clips of
# Wan 2.1 at 480p. Blending tiles changes latents a little, so the rule depends on the
# clip's shape alone.
UNTILED_PIXELS = 81 * 480 * 832


class Encoders:
    """The part of an adapter that encodes clips and captions.

    Attributes:
        pipeline_class: The diffusers pipeline.
        encoders: Classes of the encoding components by name, the VAE first.
        tokenizers: Names of the tokenizers.
        takes_images: Whether the network is conditioned on the clip's first frame.
        vae_takes_bf16: Whether the family publishes its pipeline with the autoencoder
            in bf16.
        dtype: Number type of the network and of text and image encoders.
        vae_dtype: Number type of the autoencoder; latents are float32.
    """

    pipeline_class: ClassVar[Any]
    encoders: dict[str, Any]
    tokenizers: tuple[str, ...] = ("tokenizer",)
    takes_images: bool = False
    vae_takes_bf16: ClassVar[bool] = False
    path: Path
    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    _encoders: Any = None

    def partial_pipeline(self, **components: Any) -> Any:
        """Build the family's pipeline with some of its components.

        Args:
            **components: Components by name; the others are None.

        Returns:
            The pipeline; only what needs no other component works.
        """
        signature = inspect.signature(self.pipeline_class.__init__).parameters
        missing = {
            name: None
            for name, parameter in signature.items()
            if name != "self" and parameter.default is inspect.Parameter.empty
        }
        return self.pipeline_class(**{**missing, **components})

    def load_encoders(self) -> Any:
        """Load the autoencoder, text encoders and tokenizers, unless they are loaded.

        Returns:
            The family's pipeline without network and scheduler, on the device.

        Raises:
            InputError: If a component cannot be loaded.
        """
        if self._encoders is None:
            parts: dict[str, Any] = {}
            for name, cls in self.encoders.items():
                of_transformers = issubclass(cls, PreTrainedModel)
                dtype = self.dtype if of_transformers else self.vae_dtype
                key = "dtype" if of_transformers else "torch_dtype"
                parts[name] = load_component(cls, self.path / name, **{key: dtype})
            for name in self.tokenizers:
                parts[name] = self._load_tokenizer(name)
            pipe = self.partial_pipeline(**parts)
            self._encoders = pipe.to(self.device)
            for name in self.encoders:
                align(parts[name])
        return self._encoders

    def _load_tokenizer(self, name: str) -> Any:
        try:
            return AutoTokenizer.from_pretrained(
                self.path / name, local_files_only=True
            )
        except Exception as error:  # libraries raise many types
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.path / name}: cannot be loaded ({reason}); copy the component"
                " again"
            ) from error

    def release_encoders(self) -> None:
        """Drop the autoencoder and the text encoder from memory."""
        self._encoders = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def encode_pixels(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip to the mode of the posterior, not normalised.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents ``[1, C, F, h, w]`` on the device.
        """
        vae = self.load_encoders().vae
        if video.size // 3 > UNTILED_PIXELS:
            vae.enable_tiling()
        else:
            vae.disable_tiling()
        pixels = torch.from_numpy(video)
        if self.device.type == "cuda":  # a quarter of the bytes, and no wait
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        pixels = pixels.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        pixels = pixels.to(self.device, self.vae_dtype)
        return vae.encode(pixels).latent_dist.mode().float()

    @torch.no_grad()
    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip to normalised latents.

        The default is the mode of the posterior times the autoencoder's scaling factor;
        some families override it.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents of one clip, on the CPU.
        """
        scale = self.load_encoders().vae.config.scaling_factor
        return (self.encode_pixels(video)[0] * scale).float().cpu()

    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption as the pipeline's own call does.

        Args:
            caption: The caption; may be empty.

        Returns:
            Conditioning of one clip, on the CPU.

        Raises:
            NotImplementedError: If the family does not implement it.
        """
        raise NotImplementedError

    def encode_images(self, video: np.ndarray) -> dict[str, torch.Tensor]:
        """Encode the clip's first frame as conditioning.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            Conditioning of one clip, on the CPU; empty for text-to-video.
        """
        return {}

    def encode(self, video: np.ndarray, caption: str) -> Conditioned:
        """Encode a clip and its caption.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.
            caption: The caption.

        Returns:
            Latents and conditioning of one clip.
        """
        conditioning = {**self.encode_caption(caption), **self.encode_images(video)}
        return Conditioned(self.encode_video(video), conditioning)
