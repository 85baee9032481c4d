"""Gradient agreement during training: cosines of class gradients with the golden one.

Per bucket of sigma, on validation clips, for the trained parameters. Sums run over
pairs of different clips only, so that the noise of each clip's own gradient drops out:
``U_gg = (|sum g|^2 - sum |g_i|^2) / (n (n - 1))`` and
``cosine = U_gc / sqrt(U_gg U_cc)``. Copies of one scene share more than their class:
no scene counts twice, neither in a class nor in golden and a class. A coarse, cheap
form of `tqd_probe.gradsim`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.errors import InputError
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.sampling.level_buckets import format_level
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult
from tqd_probe.training.model import LossModule
from tqd_probe.training.validation_set import ValidationSet

CLIPS = 8  # of each class
STRIDE = 2  # every second bucket


@dataclass
class GradientSum:
    """The gradients of one class in one bucket, summed over clips.

    Attributes:
        total: Sum of the clips' gradients, one tensor per parameter.
        squares: Sum of the clips' squared gradient norms.
        clips: Number of clips.
    """

    total: list[torch.Tensor]
    squares: float
    clips: int

    def squared_signal(self) -> float:
        """Return ``U``, the squared norm of the mean gradient without noise.

        Returns:
            The estimate; NaN for a single clip.
        """
        if self.clips < 2:
            return math.nan
        norm = sum(float(part.square().sum()) for part in self.total)
        return (norm - self.squares) / (self.clips * (self.clips - 1))


class GradientAgreement(Callback):
    """Writes cosines of class gradients with the golden gradient."""

    name = "agreement"

    def __init__(
        self, clips: ValidationSet, loss: LossModule, every: int, rows: JsonlWriter
    ) -> None:
        """Set what is compared.

        Args:
            clips: Validation clips, golden ones among them.
            loss: The loss module, not wrapped.
            every: Steps between measurements.
            rows: Where rows go.
        """
        check_golden(clips.classes)
        captions = [each.clip.caption for each in clips.clips.clips]
        self.rows_of = independent_rows(clips.classes, captions)
        self.clips, self.loss, self.every, self.rows = clips, loss, every, rows

    def on_train_begin(self, training: RunningTraining) -> None:
        """Measure the weights that training starts from."""
        if training.accelerator.is_main_process:
            self.rows.drop_after(training.step if training.step else -1)
        if training.step == 0:
            self.measure(training)

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Measure if it is due."""
        if self.is_due(training):
            self.measure(training)

    def measure(self, training: RunningTraining) -> None:
        """Measure all classes in every second bucket; the main process alone.

        Args:
            training: The training.
        """
        if training.accelerator.is_main_process:
            classes = sorted(set(self.clips.classes) - {GOLDEN})
            buckets = list(range(0, self.clips.sigma.shape[1], STRIDE))
            cosines: dict[str, list[float | None]] = {name: [] for name in classes}
            for bucket in buckets:
                golden = self._gradient_sum(GOLDEN, bucket, training)
                for name in classes:
                    other = self._gradient_sum(name, bucket, training)
                    cosines[name].append(cosine(golden, other))
            edges = self.clips.edges.tolist()
            self.rows.write(
                {
                    "step": training.step,
                    "buckets": buckets,
                    "sigma_edges": edges,
                    "cosine": cosines,
                }
            )
            curves = {
                f"agreement/{name}/{format_level(edges[bucket])}": value
                for name, values in cosines.items()
                for bucket, value in zip(buckets, values)
                if value is not None
            }
            training.accelerator.log(curves, step=training.step)
        training.accelerator.wait_for_everyone()

    def _gradient_sum(
        self, name: str, bucket: int, training: RunningTraining
    ) -> GradientSum:
        """Sum the gradients of some clips of a class in a bucket."""
        parameters = list(training.parameters.values())
        rows = self.rows_of[name]
        total = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
        squares = 0.0
        for row in rows:
            batch = self.clips.batch([(int(row), bucket)], training.accelerator.device)
            with training.accelerator.autocast():
                loss = self.loss(batch).sum()
            for part, each in zip(total, torch.autograd.grad(loss, parameters)):
                part += each.float()
                squares += float(each.float().square().sum())
        return GradientSum(total, squares, len(rows))


def independent_rows(
    classes: np.ndarray, captions: Sequence[str], most: int = CLIPS
) -> dict[str, np.ndarray]:
    """Choose clips of each class such that no two compared ones show the same scene.

    Clips of one caption are taken for one scene: degraded copies keep the caption of
    what they are copied from. Of the scenes that golden clips share with other classes,
    every second one is golden's.

    Args:
        classes: Class of each clip ``[N]``.
        captions: Their captions; clips without one are scenes of their own.
        most: Clips of a class at most.

    Returns:
        Rows by class, the first in order.
    """
    scenes = [
        (text.strip(), 0 if text.strip() else r) for r, text in enumerate(captions)
    ]
    of_golden = {scene for scene, name in zip(scenes, classes) if name == GOLDEN}
    of_others = {scene for scene, name in zip(scenes, classes) if name != GOLDEN}
    shared = [s for s in dict.fromkeys(scenes) if s in of_golden and s in of_others]
    kept, given = set(shared[0::2]), set(shared[1::2])
    chosen: dict[str, dict[tuple[str, int], int]] = {name: {} for name in classes}
    for row, (name, scene) in enumerate(zip(classes, scenes)):
        if scene not in (given if name == GOLDEN else kept):
            chosen[name].setdefault(scene, row)
    return {
        name: np.array(list(rows.values())[:most], dtype=int)
        for name, rows in chosen.items()
    }


def check_golden(classes: Iterable[str]) -> None:
    """Refuse validation clips among which none is golden.

    Args:
        classes: Classes of the validation clips.

    Raises:
        InputError: If there is nothing to compare with.
    """
    if GOLDEN not in set(classes):
        raise InputError(
            "--agreement-every: none of the validation clips is golden, so there is no"
            " gradient to compare with; add golden clips to --validation, or leave the"
            " option out"
        )


def cosine(golden: GradientSum, other: GradientSum) -> float | None:
    """Estimate the cosine of two mean gradients without the bias of their noise.

    Args:
        golden: Gradients of golden clips.
        other: Gradients of another class.

    Returns:
        The cosine; None where one of the signals is not above its noise.
    """
    if not (golden.clips and other.clips):
        return None
    signals = golden.squared_signal(), other.squared_signal()
    if not (signals[0] > 0 and signals[1] > 0):
        return None
    cross = sum(float((a * b).sum()) for a, b in zip(golden.total, other.total))
    cross /= golden.clips * other.clips
    return cross / math.sqrt(signals[0] * signals[1])
