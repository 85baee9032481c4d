"""What happens beside training: the interface of hooks, and the result of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from tqd_probe.training.trainer import Trainer


@dataclass
class StepResult:
    """What one step did.

    Attributes:
        step: Steps done, this one included.
        losses: Loss of every sample of the step ``[batch_size]``, by number.
        grad_norm: Norm of the gradient before clipping.
        lr: Learning rate.
        wait: Seconds spent waiting for data.
        seconds: Seconds of the whole step.
    """

    step: int
    losses: torch.Tensor
    grad_norm: float
    lr: float
    wait: float
    seconds: float


class Hook(Protocol):
    """Something that happens beside training; its state is part of checkpoints."""

    name: str

    def begin(self, trainer: Trainer) -> None:
        """Act before the first step; `trainer.step` is above 0 after a resume."""

    def after(self, trainer: Trainer, result: StepResult) -> None:
        """Act after a step."""

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs; JSON values."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""


def due(step: int, every: int, last: int) -> bool:
    """Say whether something done every so many steps is due.

    Args:
        step: Steps done.
        every: The period; 0 for never.
        last: Steps of the whole run, at which it is due as well.

    Returns:
        True if it is.
    """
    return bool(every) and (step % every == 0 or step == last)
