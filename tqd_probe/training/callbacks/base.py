"""The base class of callbacks, and the part of the trainer that they may use.

A callback sees the training through `RunningTraining` and the result of each step. The
trainer knows callbacks by `Callback` alone; nothing here imports the trainer.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.training.batches import TrainingBatches
from tqd_probe.training.parameters import NamedParameters
from tqd_probe.training.settings import TrainRunSettings


@dataclass
class StepResult:
    """What one optimiser step did.

    Attributes:
        step: Steps done, this one included.
        losses: Loss of every sample of the step ``[batch_size]``, by sample number.
        grad_norm: Norm of the gradient before clipping.
        lr: Learning rate.
        wait: Seconds spent waiting for data.
        seconds: Seconds of the step, with that wait.
    """

    step: int
    losses: torch.Tensor
    grad_norm: float
    lr: float
    wait: float
    seconds: float


class RunningTraining(Protocol):
    """The part of the trainer that callbacks use.

    Attributes:
        settings: The run's settings.
        accelerator: Processes, devices, precision, tracker.
        loss: Loss module, wrapped for the processes: batch to losses ``[B]``.
        parameters: Trained parameters by name.
        batches: Batches by step number, with the clips and the draws.
        step: Steps done.
        stopped_by: Number of the signal that ends the run early, or 0.
    """

    settings: TrainRunSettings
    accelerator: Accelerator
    loss: torch.nn.Module
    parameters: NamedParameters
    batches: TrainingBatches
    step: int
    stopped_by: int

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Give the network the averaged weights for a block, if there are any."""
        ...

    def replace_draws(self, draws: DrawStream) -> None:
        """Use other draws from the next step on."""
        ...


class Callback:
    """Base of callbacks: called during training. Every method does nothing by default.

    Attributes:
        name: Key of its state in checkpoints; unique in a run.
        every: Steps between two of its actions; 0 for never.
    """

    name: str = ""
    every: int = 0

    def on_train_begin(self, training: RunningTraining) -> None:
        """Act before the first step; `training.step` is above 0 after a resume."""

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Act after a step, in every process."""

    def on_train_end(self, training: RunningTraining) -> None:
        """Act after the last step, or when one failed; the last save comes later."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs; JSON values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; not called when none was saved."""

    def is_due(self, training: RunningTraining, at_end: bool = True) -> bool:
        """Return whether the action that is done every `every` steps is due.

        Args:
            training: The training.
            at_end: Whether it is due after the last step of the run as well.

        Returns:
            True if it is.
        """
        if not self.every:
            return False
        if training.step == training.settings.steps:
            return at_end
        return training.step % self.every == 0
