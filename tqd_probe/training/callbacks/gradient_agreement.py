"""Gradient agreement during training: what each class teaches, against golden.

Per bucket of sigma, on validation clips, for the trained parameters, with sums over
pairs of different clips only, so that the noise of a clip's own gradient counts not:
``U_gg = (|sum g|^2 - sum |g_i|^2) / (n (n - 1))`` and
``cosine = U_gc / sqrt(U_gg U_cc)``. A coarse, cheap form of `tqd_probe.gradsim`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tqd_probe.core.clip_classes import golden_first
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.training.callbacks.base import StepResult, due
from tqd_probe.training.callbacks.validation import HeldOut
from tqd_probe.training.parameters import LossModule

if TYPE_CHECKING:
    from tqd_probe.training.trainer import Trainer

CLIPS = 8  # of each class
STRIDE = 2  # every second bucket


class Agreement:
    """Writes cosines of class gradients with the golden gradient."""

    name = "agreement"

    def __init__(self, held_out: HeldOut, loss: LossModule, lines: JsonlWriter) -> None:
        """Set what is compared.

        Args:
            held_out: Validation clips, golden ones among them.
            loss: The loss module, not wrapped.
            lines: Where rows go.
        """
        self.held_out, self.loss, self.lines = held_out, loss, lines

    def begin(self, trainer: Trainer) -> None:
        """Measure the weights that training starts from."""
        if trainer.accelerator.is_main_process:
            self.lines.drop_after(trainer.step if trainer.step else -1)
        if trainer.step == 0:
            self.measure(trainer)

    def after(self, trainer: Trainer, result: StepResult) -> None:
        """Measure if it is time to."""
        if due(result.step, trainer.settings.agreement_every, trainer.settings.steps):
            self.measure(trainer)

    def measure(self, trainer: Trainer) -> None:
        """Measure all classes in every second bucket; the main process alone.

        Args:
            trainer: The training.
        """
        if trainer.accelerator.is_main_process:
            parameters = list(trainer.parameters.values())
            names = golden_first(self.held_out.classes)
            buckets = range(0, self.held_out.sigma.shape[1], STRIDE)
            found: dict[str, list[float | None]] = {n: [] for n in names[1:]}
            for bucket in buckets:
                sums = {
                    name: self._sum(name, bucket, trainer, parameters) for name in names
                }
                golden = sums["golden"]
                for name in names[1:]:
                    found[name].append(_cosine(golden, sums[name]))
            row = {
                "step": trainer.step,
                "buckets": list(buckets),
                "cosine": found,
            }
            self.lines.write(row)
            flat = {
                f"agreement/{name}/{bucket / 10:.1f}": value
                for name, values in found.items()
                for bucket, value in zip(buckets, values)
                if value is not None
            }
            trainer.accelerator.log(flat, step=trainer.step)
        trainer.accelerator.wait_for_everyone()

    def _sum(
        self, name: str, bucket: int, trainer: Trainer, parameters: list[Any]
    ) -> tuple[list[torch.Tensor], float, int]:
        """Return a class's summed gradient, its summed squared norms, the count."""
        rows = np.flatnonzero(self.held_out.classes == name)[:CLIPS]
        total = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
        squares = 0.0
        for row in rows:
            batch = self.held_out.batch(
                [(int(row), bucket)], trainer.accelerator.device
            )
            with trainer.accelerator.autocast():
                loss = self.loss(batch).sum()
            for part, each in zip(total, torch.autograd.grad(loss, parameters)):
                part += each.float()
                squares += float(each.float().square().sum())
        return total, squares, len(rows)

    def state(self) -> dict[str, Any]:
        """Nothing is carried from one time to the next."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to take up."""


def _cosine(
    golden: tuple[list[torch.Tensor], float, int],
    other: tuple[list[torch.Tensor], float, int],
) -> float | None:
    """Return the debiased cosine, None where a signal does not stand out."""

    def own(one: tuple[list[torch.Tensor], float, int]) -> float:
        total, squares, count = one
        norm = sum(float(part.square().sum()) for part in total)
        return (norm - squares) / (count * (count - 1)) if count > 1 else math.nan

    cross = sum(float((a * b).sum()) for a, b in zip(golden[0], other[0]))
    cross /= golden[2] * other[2]
    product = own(golden) * own(other)
    clear = own(golden) > 0 and own(other) > 0
    return cross / math.sqrt(product) if clear else None
