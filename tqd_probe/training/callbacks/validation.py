"""Held-out loss along the noise axis: the same clips, levels and noise every time.

Each clip is corrupted once in each of ten buckets of sigma. Inside a bucket the clips
of a class are spread evenly, so that a class's ten losses rest on all of the axis. Two
validations, of one run or of two, differ by the weights alone: their paired difference
has a fraction of the interval of either loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import t as student

from tqd_probe.core.clip_classes import golden_first
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.core.rng import normal, stream
from tqd_probe.models.base import Conditioned, collate
from tqd_probe.sampling.draw_stream import Draw
from tqd_probe.sampling.level_density import BUCKETS
from tqd_probe.training.batches import Batch
from tqd_probe.training.callbacks.base import StepResult, due
from tqd_probe.training.scored_clips import EncodedPool

if TYPE_CHECKING:
    from tqd_probe.training.trainer import Trainer

CONFIDENCE = 0.95


class HeldOut:
    """Encoded clips with their levels and noise."""

    def __init__(
        self, pool: EncodedPool, seed: int, sigma_range: tuple[float, float] = (0, 1)
    ) -> None:
        """Lay the levels.

        Args:
            pool: The clips.
            seed: Run seed, which decides levels and noise.
            sigma_range: Levels to spread over.
        """
        self.pool, self.seed = pool, seed
        self.classes = np.array([each.name for each in pool.clips], dtype=object)
        low, high = sigma_range
        self.edges = low + (high - low) * np.arange(BUCKETS + 1) / BUCKETS
        self.sigma = np.empty((len(pool.clips), BUCKETS))
        for name in sorted(set(self.classes)):
            rows = np.flatnonzero(self.classes == name)
            for bucket in range(BUCKETS):
                order = stream(seed, "validation-level", name, bucket)
                place = (order.permutation(len(rows)) + 0.5) / len(rows)
                width = self.edges[bucket + 1] - self.edges[bucket]
                self.sigma[rows, bucket] = self.edges[bucket] + place * width

    def batch(self, pairs: list[tuple[int, int]], device: torch.device) -> Batch:
        """Build the batch of some clips in some buckets.

        Args:
            pairs: Row of the clip and bucket of each sample.
            device: Where it goes.

        Returns:
            The batch.
        """
        clips = [self.pool.get(row) for row, _ in pairs]
        eps = [
            normal(
                tuple(clip.latents.shape),
                self.seed,
                "validation-noise",
                self.pool.clips[row].clip.id,
                bucket,
            )
            for clip, (row, bucket) in zip(clips, pairs)
        ]
        levels = [float(self.sigma[pair]) for pair in pairs]
        encoded = collate(clips)
        return Batch(
            [Draw(0, row, level) for (row, _), level in zip(pairs, levels)],
            Conditioned(
                encoded.latents.to(device),
                {
                    name: value.to(device)
                    for name, value in encoded.conditioning.items()
                },
            ),
            torch.stack(eps).to(device),
            torch.tensor(levels, dtype=torch.float32, device=device),
        )

    @torch.no_grad()
    def measure(self, trainer: Trainer, size: int) -> np.ndarray:
        """Measure the losses with the present (averaged) weights.

        Args:
            trainer: The training; its processes share the clips.
            size: Samples per forward pass.

        Returns:
            Loss of each clip in each bucket ``[N, BUCKETS]``, in every process.
        """
        accelerator = trainer.accelerator
        world, rank = accelerator.num_processes, accelerator.process_index
        pairs = [(row, b) for row in range(len(self.sigma)) for b in range(BUCKETS)]
        each = -(-len(pairs) // world)
        mine = [pairs[i % len(pairs)] for i in range(rank * each, (rank + 1) * each)]
        found = []
        with trainer.averaged():
            for start in range(0, each, size):
                part = mine[start : start + size]
                batch = self.batch(part, accelerator.device)
                found.append(trainer.loss(batch).float())
        losses = accelerator.gather(torch.cat(found)).cpu().numpy()
        return losses[: len(pairs)].reshape(-1, BUCKETS).astype(float)


def interval(values: np.ndarray) -> list[float] | None:
    """Return a 95 % interval of a mean over clips (Student's t).

    Args:
        values: One value per clip.

    Returns:
        Low and high; None for fewer than two clips.
    """
    if len(values) < 2:
        return None
    half = student.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    half *= values.std(ddof=1) / np.sqrt(len(values))
    return [float(values.mean() - half), float(values.mean() + half)]


def describe(
    losses: np.ndarray, first: np.ndarray, classes: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Summarise a validation by class.

    Args:
        losses: Losses ``[N, BUCKETS]``.
        first: Those of the first validation, to which changes refer.
        classes: Class of each clip.

    Returns:
        By class: clips, loss and change with intervals, over all buckets and in each.
    """
    found = {}
    for name in golden_first(classes):
        mine = losses[classes == name]
        change = mine - first[classes == name]
        found[name] = {
            "clips": len(mine),
            "loss": float(mine.mean()),
            "loss_ci": interval(mine.mean(1)),
            "change": float(change.mean()),
            "change_ci": interval(change.mean(1)),
            "bucket_loss": mine.mean(0).tolist(),
            "bucket_loss_ci": [interval(column) for column in mine.T],
            "bucket_change": change.mean(0).tolist(),
            "bucket_change_ci": [interval(column) for column in change.T],
        }
    return found


class Validation:
    """Validates before the first step, on a schedule of steps, and at the end."""

    name = "validation"

    def __init__(
        self, held_out: HeldOut, every: int, size: int, lines: JsonlWriter
    ) -> None:
        """Set when and with what.

        Args:
            held_out: The clips.
            every: Steps between validations.
            size: Samples per forward pass.
            lines: Where rows go; the losses of every clip go to a file beside it.
        """
        self.held_out, self.every, self.size = held_out, every, size
        self.lines = lines
        self.losses = JsonlWriter(
            lines.path.with_name(f"{lines.path.stem}_losses.jsonl")
        )
        self.first: np.ndarray | None = None

    def begin(self, trainer: Trainer) -> None:
        """Validate the weights that training starts from."""
        if trainer.accelerator.is_main_process:
            for lines in (self.lines, self.losses):
                lines.drop_after(trainer.step if self.first is not None else -1)
        if self.first is None:
            self.validate(trainer)

    def after(self, trainer: Trainer, result: StepResult) -> None:
        """Validate if it is time to."""
        if due(result.step, self.every, trainer.settings.steps):
            self.validate(trainer)

    def validate(self, trainer: Trainer) -> dict[str, dict[str, Any]]:
        """Validate now.

        Args:
            trainer: The training.

        Returns:
            The summary by class, also written to the file and the tracker.
        """
        losses = self.held_out.measure(trainer, self.size)
        if self.first is None:
            self.first = losses
        found = describe(losses, self.first, self.held_out.classes)
        if trainer.accelerator.is_main_process:
            edges = self.held_out.edges.tolist()
            row = {"step": trainer.step, "sigma_edges": edges, "classes": found}
            self.lines.write(row)
            clips = [each.clip.id for each in self.held_out.pool.clips]
            each_clip = {"clips": clips, "classes": self.held_out.classes.tolist()}
            self.losses.write(
                {"step": trainer.step, **each_clip, "losses": losses.tolist()}
            )
            flat = {f"validation/{name}": one["loss"] for name, one in found.items()}
            trainer.accelerator.log(flat, step=trainer.step)
        return found

    def state(self) -> dict[str, Any]:
        """Return the first validation, to which changes refer."""
        return {"first": None if self.first is None else self.first.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the first validation."""
        if state["first"] is not None:
            self.first = np.array(state["first"])
