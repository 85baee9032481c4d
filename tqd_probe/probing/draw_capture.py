"""Capture the draws of a micro-batch, in passes as large as memory allows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.probing.background_writer import BackgroundWriter
from tqd_probe.probing.cost import CostMeter
from tqd_probe.probing.losses import batch_losses, check_finite
from tqd_probe.probing.micro_batches import Draw, divide
from tqd_probe.probing.pass_sizes import PassSizes, Place
from tqd_probe.probing.workspace import Workspace


class _Found(NamedTuple):
    """What the passes of a micro-batch gave, the versions of a draw side by side."""

    gradients: np.ndarray
    losses: np.ndarray
    norms: np.ndarray | None


class DrawCapture:
    """Captures micro-batches and hands them to a writer."""

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

    def capture(self, place: Place, draws: list[Draw]) -> None:
        """Capture the draws of a micro-batch, unless all are stored.

        Args:
            place: The micro-batch.
            draws: Its draws.
        """
        store, level = self.workspace.store, place.level
        if all(store.draws.has(level, *draw) for draw in draws):
            return
        versions = self.workspace.versions(draws[0].clip)
        found = self.workspace.guard.run(
            lambda size: self._passes(level, draws, versions, size),
            min(self.sizes.at(place), len(draws) * len(versions)),
            smaller=lambda size: self.sizes.shrink(place, size),
        )
        self.writer.submit(_store_draws, self.workspace, level, draws, found)

    def _passes(
        self, level: int, draws: list[Draw], versions: list[str], size: int
    ) -> _Found:
        """Run the passes of a micro-batch, of at most so many versions each."""
        workspace, sigma = self.workspace, float(self.workspace.sigmas[level])
        gradients, losses, norms = [], [], []
        parts = divide(draws, versions, size)
        for few, names in parts:
            count = len(few) * len(names)
            with self.meter.timed_pass(count):
                inputs = batch_losses(workspace, few, sigma, names)
                found = self.engine.capture(inputs, count)
                rows = found.gradients.float().cpu().numpy()
                # A buffer is used again by the pass after the next one.
                gradients.append(rows if len(parts) == 1 else rows.copy())
            for index, draw in enumerate(few):
                own = found.gradients[index * len(names) : (index + 1) * len(names)]
                sketched = workspace.sketched
                check_finite(workspace, own, level, draw.clip, names, sketched)
            losses.append(found.losses.float().cpu().numpy())
            if found.norms is not None:
                norms.append(found.norms.double().cpu().numpy())
        return _Found(
            gradients[0] if len(parts) == 1 else np.concatenate(gradients),
            np.concatenate(losses),
            np.concatenate(norms) if norms else None,
        )


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
