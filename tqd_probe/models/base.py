"""The `VideoModel` protocol: the interface of a video diffusion model.

A model family is one file that implements this protocol for its diffusers pipeline, and
one line in `load.FAMILIES`. The rest of the package uses `sigma` only (see
`tqd_probe.core.noise`); timesteps and prediction type stay inside the family's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tqd_probe.clips.shape import ClipShape
from tqd_probe.models.lora_file import LoraWeights
from tqd_probe.models.original_names import OriginalNames


@dataclass(frozen=True)
class Conditioned:
    """One encoded clip, or a batch of them.

    Attributes:
        latents: Clean latents, normalised as the family's pipeline does; ``[...]``
            for one clip, ``[B, ...]`` for a batch.
        conditioning: The network's other inputs by name (text embeddings, masks, first
            frames), with the same leading dimension.
    """

    latents: torch.Tensor
    conditioning: dict[str, torch.Tensor]


class VideoModel(Protocol):
    """A checkpoint of one model family.

    Attributes:
        family: Name of the family, such as ``"wan"``.
        prediction: What the network predicts, such as ``"flow_velocity"``.
        source: The checkpoint as the user named it.
        fingerprint: ``sha256:`` of the denoising network's weights.
        encoder_fingerprint: ``sha256:`` of autoencoder, text encoders and tokenizers.
        device: Where network and encoders run.
        dtype: Number type of the network and of text and image encoders.
        vae_dtype: Number type of the autoencoder.
        native: The clip shape the checkpoint was trained on.
        expert: ``high`` or ``low`` of a checkpoint with two networks; None otherwise.
        takes_images: Whether the network is conditioned on the clip's first frame.
        lora_targets: Linear layers that a new LoRA adapts, as a regular expression.
        network_name: The network's component in the pipeline, such as ``transformer``.
        network: The denoising network; loaded at first use.
    """

    family: str
    prediction: str
    source: str
    fingerprint: str
    encoder_fingerprint: str
    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    native: ClipShape
    expert: str | None
    takes_images: bool
    lora_targets: str
    network_name: str

    @property
    def network(self) -> torch.nn.Module:
        """The denoising network, in evaluation mode."""
        ...

    def bound_to(self, network: torch.nn.Module) -> VideoModel:
        """Return this model with another network of the same architecture."""
        ...

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Lowest and highest level the network is used at; (0, 1) for most."""
        ...

    @property
    def timestep_levels(self) -> np.ndarray | None:
        """Levels of the discrete timesteps that the family trains uniformly, or None.

        They rise ``[T]``. None means levels without steps, as in flow matching.
        """
        ...

    def nearest_levels(self, sigma: np.ndarray) -> np.ndarray:
        """Return the model's noise levels nearest to the given ones."""
        ...

    def check_shape(self, shape: ClipShape) -> None:
        """Set the clip shape; raise `InputError` if the model does not take it."""
        ...

    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode uint8 ``[T, H, W, 3]`` to normalised latents of one clip."""
        ...

    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption as the pipeline's own call does; one clip."""
        ...

    def encode_images(self, video: np.ndarray) -> dict[str, torch.Tensor]:
        """Encode the first frame as conditioning; empty for text-to-video."""
        ...

    def encode(self, video: np.ndarray, caption: str) -> Conditioned:
        """Encode a clip and its caption."""
        ...

    def release_encoders(self) -> None:
        """Drop the autoencoder and text encoder from memory."""
        ...

    def corrupt(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return noisy latents ``[B, ...]`` at levels ``sigma [B]``."""
        ...

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the network on noisy latents; returns the shape of `target`."""
        ...

    def target(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return what the network is trained to predict."""
        ...

    def modules(self) -> dict[str, list[str]]:
        """Return the network's parameter names by module group, in network order.

        A group is ``embedding``, ``head`` or ``block07.self_attention`` and the
        like, with the parts `PARTS`. With a LoRA, only the LoRA's parameters are
        listed: they are what is probed and trained.
        """
        ...

    def add_lora(
        self, rank: int, alpha: float, targets: str | None = None, seed: int = 0
    ) -> list[str]:
        """Add a new LoRA with zero update; return its parameter names."""
        ...

    def read_lora(
        self, path: Path, alpha: float | None = None, option: str = "--lora"
    ) -> LoraWeights:
        """Read a LoRA of any trainer for this network."""
        ...

    def load_lora(self, weights: LoraWeights) -> list[str]:
        """Add a LoRA that was read; return its parameter names."""
        ...

    def names_to_save(self, keys: str) -> OriginalNames | None:
        """Return the names of a format to save in; None for diffusers'."""
        ...

    def save_lora(
        self,
        folder: Path,
        metadata: dict[str, str] | None = None,
        keys: str = "diffusers",
    ) -> Path:
        """Write the LoRA in the format of ``pipeline.load_lora_weights(folder)``."""
        ...

    def save_network(self, folder: Path, metadata: dict[str, str]) -> Path:
        """Write the network alone into one file with ComfyUI's names."""
        ...

    def save_full(self, folder: Path, metadata: dict[str, str] | None = None) -> Path:
        """Write a complete pipeline directory with the network as it is now."""
        ...

    def sample(
        self,
        prompts: list[str],
        *,
        seed: int,
        steps: int,
        guidance: float,
        shape: ClipShape | None = None,
        images: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generate clips through the family's own pipeline; uint8 video batch."""
        ...


PARTS = (
    "self_attention",
    "cross_attention",
    "feed_forward",
    "modulation",
    "embedding",
    "head",
)


def collate(clips: list[Conditioned]) -> Conditioned:
    """Stack encoded clips into a batch.

    Args:
        clips: Clips of equal shapes.

    Returns:
        The batch, with a leading dimension of ``len(clips)``.
    """
    names = clips[0].conditioning
    return Conditioned(
        torch.stack([clip.latents for clip in clips]),
        {name: torch.stack([c.conditioning[name] for c in clips]) for name in names},
    )


def per_clip_loss(
    model: VideoModel, batch: Conditioned, eps: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """Return the training loss of every clip: mean squared error over its elements.

    Args:
        model: The model.
        batch: Encoded clips, ``[B, ...]``.
        eps: Standard normal noise like the latents.
        sigma: Noise levels ``[B]``.

    Returns:
        Losses ``[B]``, in float32 (float64 for a float64 network).
    """
    x_t = model.corrupt(batch.latents, eps, sigma)
    error = model.predict(x_t, sigma, batch.conditioning) - model.target(
        batch.latents, eps, sigma
    )
    wide = torch.float64 if error.dtype == torch.float64 else torch.float32
    return error.to(wide).square().flatten(1).mean(1)
