"""What a video diffusion model must offer to be probed: the `VideoModel` protocol.

A family is one file that implements this protocol for its diffusers pipeline and one
line in `load.FAMILIES`. Everything above speaks `sigma` (see `tqd_probe.core.noise`);
how a family names its timesteps and what it predicts stays inside its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tqd_probe.clips.shape import ClipShape


@dataclass(frozen=True)
class Conditioned:
    """One encoded clip, or a batch of them.

    Attributes:
        latents: Clean latents, normalised as the family's pipeline does; ``[...]``
            for one clip, ``[B, ...]`` for a batch.
        conditioning: What the network takes beside the noisy latents (text
            embeddings and the like), by name, with the same leading dimension.
    """

    latents: torch.Tensor
    conditioning: dict[str, torch.Tensor]


class VideoModel(Protocol):
    """A checkpoint of one model family.

    Attributes:
        family: Name of the family, such as ``"wan"``.
        prediction: What the network predicts, such as ``"flow_velocity"``.
        source: The checkpoint's directory as it was given.
        fingerprint: ``sha256:`` of the denoising network's weights.
        encoder_fingerprint: ``sha256:`` of what turns clips into latents and text.
        native: The clip shape the checkpoint is made for.
        expert: Which of several networks this is; None for families with one.
        takes_images: Whether the network also takes something of the clip itself.
        lora_targets: Linear layers a fresh LoRA goes to, as a regular expression.
        network_name: The network's component in the pipeline, as ``transformer``.
        network: The denoising network; loaded when first asked for.
    """

    family: str
    prediction: str
    source: str
    fingerprint: str
    encoder_fingerprint: str
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

    def nearest_levels(self, sigma: np.ndarray) -> np.ndarray:
        """Return the levels the model really has nearest to some wanted ones."""
        ...

    def check_shape(self, shape: ClipShape) -> None:
        """Take the shape clips will come in; `InputError` when it does not fit."""
        ...

    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode uint8 ``[T, H, W, 3]`` to normalised latents of one clip."""
        ...

    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption as the pipeline's own call does; one clip."""
        ...

    def encode_images(self, video: np.ndarray) -> dict[str, torch.Tensor]:
        """Encode what the network takes of the clip itself; empty for text-to-video."""
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
        like, with the parts `PARTS`. Where the network carries a LoRA, only the
        LoRA's parameters are listed: they are what is probed and trained.
        """
        ...

    def add_lora(
        self, rank: int, alpha: float, targets: str | None = None, seed: int = 0
    ) -> list[str]:
        """Add a fresh LoRA that changes nothing yet; return its parameter names."""
        ...

    def save_lora(self, folder: Path, metadata: dict[str, str] | None = None) -> Path:
        """Write the LoRA so that ``pipeline.load_lora_weights(folder)`` takes it."""
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
