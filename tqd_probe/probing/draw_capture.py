"""Capture the draws of micro-batches, in passes as large as memory allows.

A GPU should never wait. While it runs a pass, a thread prepares the inputs of the next
one, and the results of the one before are checked and stored; they were copied to the
host behind their own pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.models.clip_encoder import GOLDEN
from tqd_probe.probing.background_writer import BackgroundWriter
from tqd_probe.probing.cost import CostMeter
from tqd_probe.probing.losses import batch_losses, check_finite
from tqd_probe.probing.micro_batches import Draw, Rows, divide
from tqd_probe.probing.pass_sizes import PassSizes, Place
from tqd_probe.probing.workspace import Workspace

Losses = Callable[[], torch.Tensor]


class _Pass(NamedTuple):
    """A pass that was launched, and where its results are copied to."""

    rows: Rows
    gradients: torch.Tensor
    losses: torch.Tensor
    norms: torch.Tensor | None
    copied: torch.cuda.Event | None


class _Found(NamedTuple):
    """What the passes of a micro-batch gave, the versions of a draw side by side."""

    gradients: np.ndarray
    losses: np.ndarray
    norms: np.ndarray | None


class _MicroBatch(NamedTuple):
    """A micro-batch whose passes were launched."""

    level: int
    draws: list[Draw]
    passes: list[_Pass]


class DrawCapture:
    """Captures micro-batches and hands them to a writer; use it in a ``with`` block."""

    def __init__(
        self,
        workspace: Workspace,
        engine: GradientCapture,
        meter: CostMeter,
        writer: BackgroundWriter,
    ) -> None:
        """Prepare to capture.

        Args:
            workspace: The probe.
            engine: Its capture engine.
            meter: Times the passes.
            writer: Stores what was captured.
        """
        self.workspace, self.engine = workspace, engine
        self.meter, self.writer = meter, writer
        self.sizes = PassSizes(
            workspace.store.folder,
            workspace.work["batch_size"],
            workspace.processes.rank,
            workspace.processes.world,
        )
        # A pass on a CPU is over when it returns: nothing is gained by waiting.
        self.deferred = torch.device(workspace.device).type == "cuda"
        self._launched: _MicroBatch | None = None
        self._pool = ThreadPoolExecutor(1)
        self._prepared: tuple[int, Rows, Future[Losses]] | None = None

    def __enter__(self) -> DrawCapture:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread; what is not finished is dropped."""
        self._pool.shutdown(cancel_futures=True)

    def capture(
        self, place: Place, draws: list[Draw], following: Sequence[list[Draw]] = ()
    ) -> None:
        """Capture the draws of a micro-batch, unless all are stored.

        Args:
            place: The micro-batch.
            draws: Its draws.
            following: The micro-batches that come next; the inputs of the first are
                prepared meanwhile.
        """
        store, level = self.workspace.store, place.level
        if all(store.draws.has(level, *draw) for draw in draws):
            return
        versions = self.workspace.versions(draws[0].clip)
        count = len(draws) * len(versions)

        def passes(size: int) -> list[_Pass]:
            parts = divide(draws, versions, size)
            after = [rows for few in following[:1] for rows in self._parts(few, size)]
            return [
                self._launch(level, rows, ahead, alone=len(parts) == 1)
                for rows, ahead in zip(parts, [*parts[1:], *after[:1], None])
            ]

        with self.meter.timed_pass(count):
            launched = self.workspace.guard.run(
                passes,
                min(self.sizes.at(place), count),
                smaller=lambda size: self.sizes.shrink(place, size),
            )
            before = self._launched
            self._launched = _MicroBatch(level, draws, launched)
            if before is not None:
                self._finish(before)
        if not self.deferred:
            self.finish()

    def capture_in_step(
        self, level: int, stage: int, index: int, batches: Sequence[list[Draw]]
    ) -> None:
        """Capture this process's micro-batch of a round, as every other captures its.

        Weights that are divided over processes are gathered in every pass, so that all
        must run as many. Which draws a resumed run has stored, and how many versions
        the last micro-batch has, differs: who has fewer passes repeats one for nothing.

        Args:
            level: Index of the noise level.
            stage: Index of the stage of the level.
            index: Index of a micro-batch; the first of a round begins it.
            batches: The micro-batches of the stage.
        """
        processes = self.workspace.processes
        if index % processes.world:
            return
        own = index + processes.rank
        draws = batches[own] if own < len(batches) else []
        place = Place(level, stage, own)
        left = self._passes_left(place, draws)
        idle = processes.largest(left) - left
        if left:
            self.capture(place, draws)
        self.writer.wait()  # what it stores is still the engine's memory
        for _ in range(idle):
            rows = [(Draw(0, 0), [GOLDEN])]
            losses = batch_losses(self.workspace, rows, self._sigma(level))
            again = partial(self.engine.capture, losses)
            self.workspace.guard.run(again, 1)

    def _passes_left(self, place: Place, draws: list[Draw]) -> int:
        """Return the passes that a micro-batch takes; none if it is stored."""
        has = self.workspace.store.draws.has
        if all(has(place.level, *draw) for draw in draws):
            return 0
        return len(self._parts(draws, self.sizes.at(place)))

    def finish(self) -> None:
        """Check the last micro-batch and hand it to the writer."""
        last, self._launched = self._launched, None
        if last is not None:
            with self.meter.timed_pass(0):  # its clips are counted already
                self._finish(last)

    def _parts(self, draws: list[Draw], size: int) -> list[Rows]:
        """Divide a micro-batch that comes later."""
        return divide(draws, self.workspace.versions(draws[0].clip), size)

    def _launch(self, level: int, rows: Rows, ahead: Rows | None, alone: bool) -> _Pass:
        """Run a pass and queue the copies of its results; a GPU is not waited for."""
        losses = self._inputs(level, rows)
        if ahead is not None:
            task = self._pool.submit(
                batch_losses, self.workspace, ahead, self._sigma(level)
            )
            self._prepared = level, ahead, task
        found = self.engine.capture(losses, sum(len(names) for _, names in rows))
        norms = found.norms
        # On a CPU the engine may use its memory again in the pass after the next one.
        again = self.deferred or not alone
        gradients = _to_host(found.gradients.float(), again)
        values = _to_host(found.losses.float(), again)
        squares = None if norms is None else _to_host(norms.double(), again)
        copied = None
        if found.gradients.is_cuda:
            copied = torch.cuda.Event()
            copied.record(torch.cuda.current_stream(found.gradients.device))
        return _Pass(rows, gradients, values, squares, copied)

    def _inputs(self, level: int, rows: Rows) -> Losses:
        """Return the inputs of a pass, prepared before or now."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[:2] == (level, rows):
            return prepared[2].result()
        return batch_losses(self.workspace, rows, self._sigma(level))

    def _sigma(self, level: int) -> float:
        return float(self.workspace.sigmas[level])

    def _finish(self, batch: _MicroBatch) -> None:
        """Wait for the results of a micro-batch, check them, and store them."""
        level, draws, launched = batch
        sketched = self.workspace.sketched
        for each in launched:
            if each.copied is not None:
                each.copied.synchronize()
            start = 0
            for draw, names in each.rows:
                own = each.gradients[start : start + len(names)]
                check_finite(self.workspace, own, level, draw.clip, names, sketched)
                start += len(names)
        norms = [each.norms.numpy() for each in launched if each.norms is not None]
        found = _Found(
            _joined([each.gradients.numpy() for each in launched]),
            _joined([each.losses.numpy() for each in launched]),
            _joined(norms) if norms else None,
        )
        self.writer.submit(_store_draws, self.workspace, level, draws, found)


def _to_host(value: torch.Tensor, again: bool) -> torch.Tensor:
    """Return a copy on the host; from a GPU it is there once its stream is so far."""
    if not value.is_cuda:
        return value.clone() if again else value
    host = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
    return host.copy_(value, non_blocking=True)


def _joined(rows: list[np.ndarray]) -> np.ndarray:
    """Join the rows of several passes."""
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _store_draws(
    workspace: Workspace, level: int, draws: list[Draw], found: _Found
) -> None:
    """Store the draws of a micro-batch that are not there yet."""
    versions = len(found.losses) // len(draws)
    for index, draw in enumerate(draws):
        if not workspace.store.draws.has(level, *draw):
            own = slice(index * versions, (index + 1) * versions)
            square = None if found.norms is None else found.norms[own]
            workspace.store.put_draw(
                level, *draw, found.gradients[own], found.losses[own], square
            )
