"""The training loop. It knows batches, losses and hooks: no model family, no sampler.

One step: this process's samples, in micro-batches; the mean loss over all samples of
all processes; its gradient, clipped; AdamW; the moving average. Every number of a step
depends on the step's number and the weights alone, so that a run that was killed and
resumed equals one that was not, bit for bit (on one device and library version), and
processes and micro-batches change only the rounding of sums.
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

from tqd_probe.core.errors import GradientError
from tqd_probe.core.rng import stream
from tqd_probe.core.signals import StopRequest
from tqd_probe.training.batches import Batch, StepData
from tqd_probe.training.callbacks.base import Hook, StepResult
from tqd_probe.training.checkpoint import Checkpoint, CheckpointStore
from tqd_probe.training.ema import Ema
from tqd_probe.training.optimisation import learning_rate
from tqd_probe.training.parameters import (
    Named,
    forget_gathered,
    optimiser_state,
    restore_optimiser,
    restore_parameters,
    whole,
)
from tqd_probe.training.settings import TrainRunSettings


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and a device (`manual_seed` is slow).

    Args:
        seed: The seed.
        device: Where the network runs.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@dataclass
class Trainer:
    """A training in progress.

    Attributes:
        settings: The run's settings.
        accelerator: Processes, devices, precision.
        loss: Loss module, wrapped for the processes: batch to losses ``[B]``.
        parameters: Trained parameters by name.
        optimiser: AdamW over them, wrapped.
        data: Batches by step number.
        store: The checkpoints.
        export: Writes weights in diffusers' format: takes a folder and whole tensors;
            the network holds the same weights meanwhile.
        hooks: What happens beside training, in order.
        ema: The moving average, or None.
        step: Steps done.
        stopped_by: Number of the signal that ended the run early, or 0.
        request: Notes signals.
    """

    settings: TrainRunSettings
    accelerator: Accelerator
    loss: torch.nn.Module
    parameters: Named
    optimiser: Any
    data: StepData
    store: CheckpointStore
    export: Callable[[Path, dict[str, torch.Tensor]], object]
    hooks: list[Hook]
    ema: Ema | None = None
    step: int = 0
    stopped_by: int = 0
    request: StopRequest = field(default_factory=StopRequest)
    _stale: bool = False

    def run(self) -> None:
        """Train to the last step, or until a signal; saves before it returns.

        Raises:
            GradientError: If a loss or a gradient is not finite; nothing is saved.
        """
        with self.request.listening():
            for hook in self.hooks:
                hook.begin(self)
            saved = self.step
            batches = self._batches()
            while self.step < self.settings.steps and not self.stopped_by:
                result = self._one_step(batches)
                for hook in self.hooks:
                    hook.after(self, result)
                if self.step % self.settings.save_every == 0:
                    saved = self.save()
                if self._stale:
                    batches = self._batches()
            if saved != self.step or self.step == 0:
                self.save()

    def replace_data(self, data: StepData) -> None:
        """Train on other batches from the next step on.

        Args:
            data: The batches.
        """
        self.data, self._stale = data, True

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the network the averaged weights for a block, if there are any.

        Yields:
            Nothing.
        """
        with self.ema.swapped_in(self.parameters) if self.ema else nullcontext():
            forget_gathered(self.loss)
            yield
        forget_gathered(self.loss)

    def save(self) -> int:
        """Write a checkpoint; every process must call this.

        Returns:
            The step saved.
        """
        tensors = {
            "parameters": {name: whole(p) for name, p in self.parameters.items()},
            "optimiser": optimiser_state(self.optimiser.optimizer, self.parameters),
        }
        if self.ema is not None:
            tensors["ema"] = {n: whole(value) for n, value in self.ema.average.items()}
        state = {
            "step": self.step,
            "hooks": {hook.name: hook.state() for hook in self.hooks},
        }
        with self.averaged():
            if self.accelerator.is_main_process:
                weights = tensors.get("ema", tensors["parameters"])
                self.store.save(
                    *(self.step, tensors, state),
                    lambda folder: self.export(folder, weights),
                )
            self.accelerator.wait_for_everyone()
        return self.step

    def load(self, checkpoint: Checkpoint) -> None:
        """Take up a checkpoint.

        Args:
            checkpoint: The checkpoint.
        """
        restore_parameters(self.parameters, checkpoint.tensors("parameters"))
        state = checkpoint.tensors("optimiser")
        restore_optimiser(self.optimiser.optimizer, self.parameters, state)
        if self.ema is not None:
            restore_parameters(self.ema.average, checkpoint.tensors("ema"))
        known = checkpoint.state()
        self.step = int(known["step"])
        for hook in self.hooks:
            hook.restore(known["hooks"][hook.name])

    def _batches(self) -> Iterator[Batch]:
        self._stale = False
        return self.data.steps(self.step, self.settings.steps, self.settings.workers)

    def _one_step(self, batches: Iterator[Batch]) -> StepResult:
        began = time.perf_counter()
        batch = next(batches)
        wait = time.perf_counter() - began
        # No module of ours draws torch's own numbers while it trains; one that does
        # shall draw the same after a resume.
        world, device = self.accelerator.num_processes, self.accelerator.device
        rng = stream(self.settings.seed, "torch", self.step, self.data.rank)
        seed_torch(int(rng.integers(2**62)), device)
        parts = list(batch.split(self.settings.micro_batch, device))
        losses = []
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            quiet = nullcontext() if last else self.accelerator.no_sync(self.loss)
            with quiet:
                each = self.loss(part)
                mean = each.sum() * (world / self.settings.batch_size)
                self.accelerator.backward(mean)
            losses.append(each.detach().float())
        every, signal_number = self._share(torch.cat(losses))
        self._check_losses(every)
        limit = self.settings.clip_norm or math.inf
        found = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), limit)
        norm = float(whole(found))
        if not math.isfinite(norm):
            self._refuse("gradient", every)
        lr = learning_rate(self.step, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.ema is not None:
            self.ema.update(self.parameters, self.step)
        self.step += 1
        self.stopped_by = signal_number
        seconds = time.perf_counter() - began
        return StepResult(self.step, every, norm, lr, wait, seconds)

    def _share(self, losses: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Give every process all losses, and the signal that any of them got."""
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
        draw = self.data.stream.draw(first + (bad[0] if bad else 0))
        clip = self.data.pool.clips[draw.clip]
        whose = "" if bad else "first of its samples: "
        raise GradientError(
            f"step {self.step + 1}: {what} is not finite; {whose}clip {clip.clip.id}"
            f" (class {clip.name}), sigma {draw.sigma:.4g}; lower --lr or --clip-norm,"
            " use --dtype fp32, or leave the clip out; the last checkpoint is untouched"
        )
