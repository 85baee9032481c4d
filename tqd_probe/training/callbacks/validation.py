"""Held-out loss along the noise axis, by class, with paired changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from tqd_probe.core.clip_classes import golden_first
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.sampling.level_buckets import BUCKETS
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult
from tqd_probe.training.validation_set import ValidationSet

CONFIDENCE = 0.95


class Validation(Callback):
    """Validates before the first step, every so many steps, and at the end.

    Attributes:
        first: Losses of the first validation ``[N, BUCKETS]``; None before it.
        known_start: What the first validation would find, where another run of the same
            weights, clips and seed has found it; None: it is computed.
    """

    name = "validation"

    def __init__(
        self, clips: ValidationSet, every: int, micro_batch: int, rows: JsonlWriter
    ) -> None:
        """Set when and with what to validate.

        Args:
            clips: The clips.
            every: Steps between validations.
            micro_batch: Samples per forward pass.
            rows: Where rows go; the losses of every clip go to a second file.
        """
        self.clips, self.every, self.micro_batch = clips, every, micro_batch
        self.rows = rows
        self.losses = JsonlWriter(rows.path.with_name(f"{rows.path.stem}_losses.jsonl"))
        self.first: np.ndarray | None = None
        self.known_start: np.ndarray | None = None

    def on_train_begin(self, training: RunningTraining) -> None:
        """Validate the weights that training starts from."""
        if training.accelerator.is_main_process:
            for rows in (self.rows, self.losses):
                rows.drop_after(training.step if self.first is not None else -1)
        if self.first is None:
            self.validate(training, self.known_start)

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Validate if it is due."""
        if self.is_due(training):
            self.validate(training)

    def validate(
        self, training: RunningTraining, losses: np.ndarray | None = None
    ) -> dict[str, dict[str, Any]]:
        """Validate now.

        Args:
            training: The training.
            losses: The losses, if they are known.

        Returns:
            The summary by class, also written to the file and the tracker.
        """
        if losses is None:
            losses = validation_losses(training, self.clips, self.micro_batch)
        if self.first is None:
            self.first = losses
        summary = summarise(losses, self.first, self.clips.classes)
        if training.accelerator.is_main_process:
            edges = self.clips.edges.tolist()
            step = training.step
            self.rows.write({"step": step, "sigma_edges": edges, "classes": summary})
            self.losses.write(
                {
                    "step": step,
                    "clips": [each.clip.id for each in self.clips.clips.clips],
                    "classes": self.clips.classes.tolist(),
                    "losses": losses.tolist(),
                }
            )
            curves = {f"validation/{name}": c["loss"] for name, c in summary.items()}
            training.accelerator.log(curves, step=step)
        return summary

    def state_dict(self) -> dict[str, Any]:
        """Return the first validation, to which changes refer."""
        return {"first": None if self.first is None else self.first.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refer changes to the saved first validation."""
        if state["first"] is not None:
            self.first = np.array(state["first"])


@torch.no_grad()
def validation_losses(
    training: RunningTraining, clips: ValidationSet, micro_batch: int
) -> np.ndarray:
    """Compute the losses with the present (averaged) weights.

    Args:
        training: The training; its processes share the clips.
        clips: The validation clips.
        micro_batch: Samples per forward pass.

    Returns:
        Loss of each clip in each bucket ``[N, BUCKETS]``, in every process.
    """
    accelerator = training.accelerator
    world, rank = accelerator.num_processes, accelerator.process_index
    pairs = [(row, b) for row in range(len(clips.sigma)) for b in range(BUCKETS)]
    each = -(-len(pairs) // world)
    share = [pairs[i % len(pairs)] for i in range(rank * each, (rank + 1) * each)]
    losses = []
    with training.averaged_weights():
        for start in range(0, each, micro_batch):
            batch = clips.batch(share[start : start + micro_batch], accelerator.device)
            losses.append(training.loss(batch).float())
    gathered = accelerator.gather(torch.cat(losses)).cpu().numpy()
    return gathered[: len(pairs)].reshape(-1, BUCKETS).astype(float)


def student_interval(values: np.ndarray) -> list[float] | None:
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


def summarise(
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
    summary = {}
    for name in golden_first(classes):
        of_class = losses[classes == name]
        change = of_class - first[classes == name]
        summary[name] = {
            "clips": len(of_class),
            "loss": float(of_class.mean()),
            "loss_ci": student_interval(of_class.mean(1)),
            "change": float(change.mean()),
            "change_ci": student_interval(change.mean(1)),
            "bucket_loss": of_class.mean(0).tolist(),
            "bucket_loss_ci": [student_interval(column) for column in of_class.T],
            "bucket_change": change.mean(0).tolist(),
            "bucket_change_ci": [student_interval(column) for column in change.T],
        }
    return summary
