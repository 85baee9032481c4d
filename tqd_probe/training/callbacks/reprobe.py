"""Measure the schedule again on the model as it now is, and go on with that.

The bands belong to a checkpoint: as the model learns, they drift. The command that made
the schedule is in its provenance; it is run again on the present (averaged) weights, by
`tqd_probe.probing`, and how far bands, curves and the density of draws moved is
logged.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.core.errors import InputError, TqdError
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.probing.settings import RunSettings
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.schedules.band_schedule import Band, BandSchedule, Curves
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult
from tqd_probe.training.sampler import ScheduleInUse

log = logging.getLogger("tqd_probe")


def probe_settings(schedule: BandSchedule) -> RunSettings:
    """Recover the probe's settings from the command in a schedule's provenance.

    Args:
        schedule: The schedule.

    Returns:
        The settings of that command.

    Raises:
        InputError: If the provenance names no gradsim command.
    """
    from tqd_probe.core.command_line import parse
    from tqd_probe.gradsim import GradsimOptions

    argv = schedule.provenance.argv
    if not argv or argv[0] != "gradsim":
        raise InputError(
            "--reprobe-every: the schedule's provenance.argv is no gradsim command;"
            " measure the schedule with python -m tqd_probe.gradsim"
        )
    parsed = parse(GradsimOptions, argv[1:], "provenance.argv of the schedule")
    fields = set(RunSettings.model_fields)
    return RunSettings.model_validate(parsed.model_dump(include=fields))


class Reprobe(Callback):
    """Measures again every so many steps; the schedule in use is its state."""

    name = "reprobe"

    def __init__(
        self,
        in_use: ScheduleInUse,
        schedule: BandSchedule,
        every: int,
        save: Callable[[Path], object],
        out: Path,
    ) -> None:
        """Set what is measured.

        Args:
            in_use: The schedule that training follows, and its draws.
            schedule: The schedule training starts with.
            every: Steps between measurements.
            save: Writes the present weights as a pipeline directory.
            out: The run directory.
        """
        self.in_use, self.schedule, self.every = in_use, schedule, every
        self.save, self.out = save, out
        self.rows = JsonlWriter(out / "reprobe.jsonl")
        self.settings = probe_settings(schedule)

    def on_train_begin(self, training: RunningTraining) -> None:
        """Follow the schedule that was in use when the run was saved."""
        if training.accelerator.is_main_process:
            self.rows.drop_after(training.step)
        training.follow(self.in_use.follow(self.schedule))

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Measure if it is due; not at the very end."""
        if self.is_due(training, at_end=False) and not training.stopped_by:
            self.measure(training)

    def measure(self, training: RunningTraining) -> None:
        """Measure in the main process; every process goes on with the result.

        Args:
            training: The training.
        """
        path = self.out / "schedules" / f"step-{training.step:08d}.json"
        if training.accelerator.is_main_process:
            self._probe(training).save(path)
        training.accelerator.wait_for_everyone()
        measured = BandSchedule.load(path)
        before = training.batches.draws
        try:
            draws = self.in_use.follow(measured)
        except TqdError as error:  # no band is left for these clips
            log.warning("step %d: schedule not followed: %s", training.step, error)
            self._report(training, measured, f"kept the former schedule: {error}")
            return
        self._report(training, measured, None, density_distance(before, draws))
        self.schedule = measured
        training.follow(draws)

    def _probe(self, training: RunningTraining) -> BandSchedule:
        from tqd_probe.probing.measure import derive_schedule, measure
        from tqd_probe.probing.passes import run
        from tqd_probe.probing.prepare import prepare

        place = self.out / f".probe-{training.step:08d}"
        shutil.rmtree(place, ignore_errors=True)
        try:
            with training.averaged_weights():
                self.save(place / "model")
            device = training.accelerator.device
            settings = self.settings.model_copy(
                update={
                    "ckpt": str(place / "model"),
                    "out": place / "run",
                    "device": str(device),
                    "cache": training.batches.clips.encoder.cache,
                    "plan": False,
                    "self_check": False,
                }
            )
            if "lora" in RunSettings.model_fields:  # it is part of the saved weights
                settings = settings.model_copy(update={"lora": None})
            with _alone():
                probe = prepare(settings, quiet=True)
                try:
                    run(probe, quiet=True)
                    result = measure(probe, list(self.schedule.provenance.argv))
                finally:
                    probe.store.release()
            result["model"]["source"] = f"{training.settings.ckpt} step {training.step}"
            return derive_schedule(result)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _report(
        self,
        training: RunningTraining,
        found: BandSchedule,
        note: str | None,
        draws_moved: float | None = None,
    ) -> None:
        if not training.accelerator.is_main_process:
            return
        row: dict[str, Any] = {"step": training.step, "note": note, "classes": {}}
        for name, curves in found.classes.items():
            old = self.schedule.classes.get(name)
            row["classes"][name] = drift(old, curves) if old else None
        if draws_moved is not None:
            row["draws_moved"] = draws_moved
        self.rows.write(row)
        shares = ", ".join(
            f"{name} bands moved {one['bands_moved']:.2f}"
            for name, one in row["classes"].items()
            if one is not None
        )
        log.info("step %d: schedule measured again (%s)", training.step, shares)

    def state_dict(self) -> dict[str, Any]:
        """Return the schedule in use."""
        return {"schedule": self.schedule.model_dump(mode="json")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the saved schedule."""
        self.schedule = BandSchedule.model_validate(state["schedule"])


@contextmanager
def _alone() -> Iterator[None]:
    """Let a probe count one process, where this is the first of several that wait."""
    before = os.environ.get("WORLD_SIZE")
    os.environ["WORLD_SIZE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["WORLD_SIZE"]
        else:
            os.environ["WORLD_SIZE"] = before


def drift(old: Curves, new: Curves) -> dict[str, Any]:
    """Measure how far bands and curves of a class moved.

    Args:
        old: Its curves before.
        new: Its curves now.

    Returns:
        Bands before and now; ``bands_moved``, the measure of levels in one but not
        in both; the mean absolute change of the cosine where both are defined.
    """
    grid = (np.arange(2000) + 0.5) / 2000
    inside = [_inside(curves.bands, grid) for curves in (old, new)]
    pairs = [(a, b) for a, b in zip(old.cosine, new.cosine) if None not in (a, b)]
    gaps = [abs(float(b) - float(a)) for a, b in pairs]  # type: ignore[arg-type]
    return {
        "bands_before": old.bands,
        "bands": new.bands,
        "bands_moved": float((inside[0] != inside[1]).mean()),
        "cosine_moved": float(np.mean(gaps)) if gaps else None,
    }


def density_distance(old: DrawStream, new: DrawStream) -> float:
    """Return the total variation distance of two densities of (class, sigma).

    Args:
        old: Draws before.
        new: Draws now, of the same clips.

    Returns:
        0 for the same density, 1 for disjoint ones.
    """
    grid = (np.arange(400) + 0.5) / 400
    a, b = old.class_density(grid), new.class_density(grid)
    return float(sum(np.abs(a[name] - b[name]).mean() for name in a) / 2)


def _inside(bands: list[Band], grid: np.ndarray) -> np.ndarray:
    """Mark the places inside bands."""
    found = np.zeros(len(grid), dtype=bool)
    for low, high in bands:
        found |= (grid >= low) & (grid <= high)
    return found
