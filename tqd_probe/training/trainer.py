"""The training loop. It knows batches, losses and callbacks, but no model family.

One step: this process's samples, in micro-batches; the mean loss over all samples of
all processes; its gradient, clipped; the optimiser; the moving average. Every number of
a step depends on the step's number and the weights alone, so that a run that was killed
and resumed equals one that was not, bit for bit (on one device and library version,
where kernels are deterministic), and processes and micro-batches change only the
rounding of sums.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from tqd_probe.core.determinism import seed_torch
from tqd_probe.core.errors import GradientError
from tqd_probe.core.rng import stream
from tqd_probe.core.signals import StopRequest
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.training.batches import Batch, TrainingBatches
from tqd_probe.training.callbacks.base import Callback, StepResult
from tqd_probe.training.checkpoint import Checkpoint, CheckpointStore
from tqd_probe.training.ema import Ema
from tqd_probe.training.optimisation import learning_rate, set_learning_rate
from tqd_probe.training.parameters import (
    NamedParameters,
    free_gathered_weights,
    gather_named,
    gather_to_cpu,
    load_optimiser_state,
    load_parameters,
    optimiser_state,
)
from tqd_probe.training.settings import TrainRunSettings


@dataclass
class Trainer:
    """A training in progress.

    Attributes:
        settings: The run's settings.
        accelerator: Processes, devices, precision.
        loss: Loss module, wrapped for the processes: batch to losses ``[B]``.
        parameters: Trained parameters by name.
        optimiser: The optimiser of them, wrapped.
        batches: Batches by step number.
        store: The checkpoints.
        export: Writes weights in diffusers' format: takes a folder, full tensors and
            the step; the network holds the same weights meanwhile.
        callbacks: The callbacks, in order.
        ema: The moving average, or None.
        step: Steps done.
        stopped_by: Number of the signal that ended the run early, or 0.
        request: Notes signals.
    """

    settings: TrainRunSettings
    accelerator: Accelerator
    loss: torch.nn.Module
    parameters: NamedParameters
    optimiser: Any
    batches: TrainingBatches
    store: CheckpointStore
    export: Callable[[Path, dict[str, torch.Tensor], int], object]
    callbacks: list[Callback]
    ema: Ema | None = None
    step: int = 0
    stopped_by: int = 0
    request: StopRequest = field(default_factory=StopRequest)
    _draws_changed: bool = False

    def run(self) -> None:
        """Train to the last step, or until a signal; saves before it returns.

        Raises:
            GradientError: If a loss or a gradient is not finite; nothing is saved.
        """
        with self.request.listening():
            for callback in self.callbacks:
                callback.on_train_begin(self)
            saved = self.step
            try:
                saved = self._run_steps(saved)
            finally:
                for callback in self.callbacks:
                    callback.on_train_end(self)
            if saved != self.step or self.step == 0:
                self.save()

    def _run_steps(self, saved: int) -> int:
        """Run the steps that are left; returns the step saved last."""
        batches = self._load_batches()
        while self.step < self.settings.steps and not self.stopped_by:
            result = self._one_step(batches)
            for callback in self.callbacks:
                callback.on_step_end(self, result)
            if self.step % self.settings.save_every == 0:
                saved = self.save()
            if self._draws_changed:
                batches = self._load_batches()
        return saved

    def replace_draws(self, draws: DrawStream) -> None:
        """Use other draws from the next step on.

        Args:
            draws: The draws.
        """
        self.batches.draws, self._draws_changed = draws, True

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Give the network the averaged weights for a block, if there are any.

        Yields:
            Nothing.
        """
        with self.ema.swapped_in(self.parameters) if self.ema else nullcontext():
            free_gathered_weights(self.loss)
            yield
        free_gathered_weights(self.loss)

    def save(self) -> int:
        """Write a checkpoint; every process must call this.

        Returns:
            The step saved.
        """
        main = self.accelerator.is_main_process
        optimiser = self.optimiser.optimizer
        tensors = {
            "parameters": gather_named(self.parameters, main),
            "optimiser": optimiser_state(optimiser, self.parameters, main),
        }
        if self.ema is not None:
            tensors["ema"] = gather_named(self.ema.average, main)
        state = {
            "step": self.step,
            "hooks": {each.name: each.state_dict() for each in self.callbacks},
        }
        with self.averaged_weights():
            if main:
                weights = tensors.get("ema", tensors["parameters"])
                self.store.save(
                    step=self.step,
                    tensors=tensors,
                    state=state,
                    export=lambda folder: self.export(folder, weights, self.step),
                )
            self.accelerator.wait_for_everyone()
        return self.step

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint.

        A callback that was not there when the checkpoint was written starts fresh.

        Args:
            checkpoint: The checkpoint.
        """
        load_parameters(self.parameters, checkpoint.tensors("parameters"))
        state = checkpoint.tensors("optimiser")
        load_optimiser_state(self.optimiser.optimizer, self.parameters, state)
        if self.ema is not None:
            load_parameters(self.ema.average, checkpoint.tensors("ema"))
        saved = checkpoint.state()
        self.step = int(saved["step"])
        for callback in self.callbacks:
            if callback.name in saved["hooks"]:
                callback.load_state_dict(saved["hooks"][callback.name])

    def _load_batches(self) -> Iterator[Batch]:
        self._draws_changed = False
        return self.batches.steps(self.step, self.settings.steps, self.settings.workers)

    def _one_step(self, batches: Iterator[Batch]) -> StepResult:
        began = time.perf_counter()
        batch = next(batches)
        wait = time.perf_counter() - began
        # A network with dropout must draw the same numbers after a resume.
        world, device = self.accelerator.num_processes, self.accelerator.device
        rng = stream(self.settings.seed, "torch", self.step, self.batches.rank)
        seed_torch(int(rng.integers(2**62)), device)
        parts = list(batch.split(self.settings.micro_batch, device))
        losses = []
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            sync = nullcontext() if last else self.accelerator.no_sync(self.loss)
            with sync:
                each = self.loss(part)
                mean = each.sum() * (world / self.settings.batch_size)
                self.accelerator.backward(mean)
            losses.append(each.detach().float())
        losses_of_all, signal_number = self._gather_losses(torch.cat(losses))
        self._check_losses(losses_of_all)
        limit = self.settings.clip_norm or math.inf
        values = list(self.parameters.values())
        norm = float(gather_to_cpu(torch.nn.utils.clip_grad_norm_(values, limit)))
        if not math.isfinite(norm):
            self._refuse("gradient", losses_of_all)
        lr = learning_rate(self.step, self.settings)
        set_learning_rate(self.optimiser, lr)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.ema is not None:
            self.ema.update(self.parameters, self.step)
        self.step += 1
        self.stopped_by = signal_number
        seconds = time.perf_counter() - began
        return StepResult(
            step=self.step,
            losses=losses_of_all,
            grad_norm=norm,
            lr=lr,
            wait=wait,
            seconds=seconds,
        )

    def _gather_losses(self, losses: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Give every process all losses, and the signal that any of them received."""
        flag = torch.tensor([float(self.request.number)], device=losses.device)
        each = torch.cat([losses, flag])[None]
        rows = self.accelerator.gather(each).cpu()
        return rows[:, :-1].reshape(-1), int(rows[:, -1].max())

    def _check_losses(self, losses: torch.Tensor) -> None:
        if not bool(torch.isfinite(losses).all()):
            self._refuse("loss", losses)

    def _refuse(self, what: str, losses: torch.Tensor) -> None:
        """Stop at a number that is not finite; names the sample or the step."""
        bad = (~torch.isfinite(losses)).nonzero().flatten().tolist()
        first = self.step * self.settings.batch_size
        draw = self.batches.draws.draw(first + (bad[0] if bad else 0))
        clip = self.batches.clips.clips[draw.clip]
        whose = "" if bad else "first of its samples: "
        raise GradientError(
            f"step {self.step + 1}: {what} is not finite; {whose}clip {clip.clip.id}"
            f" (class {clip.clip_class}), sigma {draw.sigma:.4g}; lower --lr or"
            " --clip-norm, use --dtype fp32, or leave the clip out; the last checkpoint"
            " is untouched"
        )
