"""Short trainings of one checkpoint in memory, many times from the same start.

The trainer's own parts (loss, AdamW, learning rate, gradient clipping) without its
files: what `tqd_probe.train` would do on one degradation at one noise level, minus a
run directory, so that a hundred trainings of seconds do not each cost a start-up.
Clips, noise and order are named by seed and step alone: trainings on golden clips and
on degraded copies see the same scenes under the same noise, and differ by the
degradation and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from analyses.worth.clip_collections import SECOND, ClipCollections
from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.rng import normal, stream
from tqd_probe.models.base import Conditioned, collate, per_clip_loss
from tqd_probe.models.clip_encoder import ClipEncoder
from tqd_probe.models.load import load_model
from tqd_probe.training.model import make_trainable
from tqd_probe.training.optimisation import learning_rate, make_optimiser
from tqd_probe.training.parameters import trained_parameters
from tqd_probe.training.settings import TrainRunSettings


@dataclass
class RepeatedTraining:
    """A checkpoint that is trained again and again from where it was.

    Attributes:
        settings: How it is trained; sampler and clips in it are not used.
        cache: Folder of encoded clips.
        clips: Where clips come from: ``synthetic`` or a folder.
        shape: Shape of the clips; None: the checkpoint's own.
    """

    settings: TrainRunSettings
    cache: Path
    clips: str = "synthetic"
    shape: ClipShape | None = None

    def __post_init__(self) -> None:
        """Load the model, all of its weights trainable, and note the start."""
        self.model = load_model(self.settings.ckpt, "cpu")
        self.collections = ClipCollections(self.clips)
        shape = self.shape or self.model.native
        self.model.check_shape(shape)
        self.encoder = ClipEncoder(self.model, shape, 0, self.cache)
        make_trainable(self.model, self.settings)
        self.parameters = trained_parameters(self.model.network)
        self._start = {n: p.detach().clone() for n, p in self.parameters.items()}

    def encode(self, seed: int, count: int, degradation: str | None) -> Conditioned:
        """Encode clips of a collection, or degraded copies of them.

        Args:
            seed: Number of the collection.
            count: How many clips.
            degradation: ``name:severity``; None for the golden clips, `SECOND` for
                those of the collection beside it.

        Returns:
            A batch of all of them.
        """
        effect = None
        second = degradation == SECOND
        if degradation is not None and not second:
            name, _, severity = degradation.partition(":")
            effect = Degradation(name, int(severity))
        clips = self.collections.take(seed, count, second)
        return collate(
            [
                Conditioned(self.encoder.latents(c, effect), self.encoder.caption(c))
                for c in clips
            ]
        )

    def reset(self) -> None:
        """Go back to the start."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self._start[name])

    def train(
        self, clips: Conditioned, sigma: float, seed: int, first: int, last: int
    ) -> None:
        """Train for some steps on clips at one level, with a fresh optimiser at step 0.

        Args:
            clips: Encoded clips.
            sigma: The level.
            seed: Decides which clips and which noise.
            first: First step; 0 starts a new optimiser.
            last: Step after the last one.
        """
        values = list(self.parameters.values())
        if first == 0:
            self._optimiser = make_optimiser(values, self.settings)
        size = self.settings.batch_size
        for step in range(first, last):
            rows = stream(seed, "short-rows", step).integers(
                0, len(clips.latents), size
            )
            some = take(clips, rows)
            eps = normal(tuple(some.latents.shape), seed, "short-noise", step)
            levels = torch.full((size,), sigma)
            per_clip_loss(self.model, some, eps, levels).mean().backward()
            torch.nn.utils.clip_grad_norm_(values, self.settings.clip_norm)
            for group in self._optimiser.param_groups:
                group["lr"] = learning_rate(step, self.settings)
            self._optimiser.step()
            self._optimiser.zero_grad()

    @torch.no_grad()
    def losses(
        self,
        clips: Conditioned,
        levels: list[float],
        seed: int,
        only: int | None = None,
    ) -> np.ndarray:
        """Return the loss of every clip at every level ``[N, L]``, fixed noise.

        Args:
            clips: Encoded clips.
            levels: Noise levels.
            seed: Decides the noise, with the place of a level.
            only: Place of the one level wanted; None: all.

        Returns:
            The losses; ``[N, 1]`` for one level.
        """
        found = []
        for level, sigma in enumerate(levels):
            if only not in (None, level):
                continue
            eps = normal(tuple(clips.latents.shape), seed, "short-held-out", level)
            levels_ = torch.full((len(eps),), sigma)
            found.append(per_clip_loss(self.model, clips, eps, levels_).numpy())
        return np.stack(found, 1).astype(float)

    def gradients(self, clips: Conditioned, sigma: float, seed: int) -> torch.Tensor:
        """Return every clip's gradient ``[N, P]`` at a level, one noise draw each.

        Args:
            clips: Encoded clips.
            sigma: The level.
            seed: Decides the noise, the same for degraded copies.

        Returns:
            The gradients of all trained parameters, flat.
        """
        values = list(self.parameters.values())
        shape = tuple(clips.latents.shape[1:])
        rows = []
        for row in range(len(clips.latents)):
            eps = normal(shape, seed, "short-probe", row)[None]
            one = take(clips, np.array([row]))
            loss = per_clip_loss(self.model, one, eps, torch.full((1,), sigma)).sum()
            parts = torch.autograd.grad(loss, values)
            rows.append(torch.cat([part.flatten() for part in parts]))
        return torch.stack(rows)


def take(clips: Conditioned, rows: np.ndarray) -> Conditioned:
    """Return some clips of a batch.

    Args:
        clips: The batch.
        rows: Which.

    Returns:
        A smaller batch.
    """
    index = torch.from_numpy(np.asarray(rows))
    return Conditioned(
        clips.latents[index], {n: v[index] for n, v in clips.conditioning.items()}
    )
