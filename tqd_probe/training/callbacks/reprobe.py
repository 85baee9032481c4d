"""Measure the schedule again on the present weights, and follow the new one.

Bands belong to a checkpoint: as the model learns, they drift. The settings of the probe
that made the schedule are in its provenance; the same probe runs on the present
(averaged) weights, and how far bands, curves and the density of draws moved is logged.
A level enters a band where the class may now be used, and leaves it only where it is to
be avoided: a level of which the new measurement does not say either stays.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from tqd_probe.core.command_line import Options, parse
from tqd_probe.core.errors import InputError, TqdError
from tqd_probe.core.json_models import first_fault
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.run import run_probe
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.curves_schema import Band, Curves
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult
from tqd_probe.training.schedule_in_use import ScheduleInUse

log = logging.getLogger("tqd_probe")


class _OldCommand(ProbeRunSettings, Options):  # type: ignore[misc]
    """The command in the provenance of schedules that do not store settings."""

    metric: Literal["adam", "raw", "fisher"] = Field(
        default="raw", description="metric"
    )
    degradations: str = Field(
        default="blur:3,noise:3,downscale:3,freeze:5", description="degradations"
    )
    dtype: Literal["fp32", "bf16"] = Field(default="fp32", description="number type")
    vae_dtype: Literal["fp32", "bf16"] = Field(default="fp32", description="as dtype")


def probe_settings(schedule: BandSchedule) -> ProbeRunSettings:
    """Recover the probe's settings from a schedule's provenance.

    Args:
        schedule: The schedule.

    Returns:
        The settings it was measured with.

    Raises:
        InputError: If the provenance names no probe.
    """
    provenance = schedule.provenance
    cure = "measure the schedule with python -m tqd_probe.gradsim"
    if provenance.settings is not None:
        try:
            metric = {"metric": schedule.criterion.metric}
            return ProbeRunSettings.model_validate(metric | provenance.settings)
        except ValidationError as error:
            raise InputError(
                "--reprobe-every: the schedule's provenance.settings:"
                f" {first_fault(error)}; {cure}"
            ) from None
    command, *arguments = provenance.argv or [""]
    if command != "gradsim":
        raise InputError(
            "--reprobe-every: the schedule's provenance.argv is no gradsim command;"
            f" {cure}"
        )
    old = parse(_OldCommand, arguments, "provenance.argv of the schedule")
    return ProbeRunSettings.model_validate(dict(old))


def reprobe_settings(
    settings: ProbeRunSettings, model: Path, out: Path, device: str, cache: Path
) -> ProbeRunSettings:
    """Return the settings of a probe of the present weights.

    Args:
        settings: Settings the schedule was measured with.
        model: The present weights; a LoRA is part of them.
        out: The run directory of the probe.
        device: The torch device.
        cache: Folder of encoded clips.

    Returns:
        The settings.
    """
    return settings.model_copy(
        update={
            "ckpt": str(model),
            "pipeline": None,
            "lora": None,
            "lora_alpha": None,
            "fuse_lora": False,
            "out": out,
            "device": device,
            "cache": cache,
            "plan": False,
            "self_check": False,
        }
    )


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
        training.replace_draws(self.in_use.follow(self.schedule))

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Measure if it is due; not at the very end."""
        if self.is_due(training, at_end=False) and not training.stopped_by:
            self.measure(training)

    def measure(self, training: RunningTraining) -> None:
        """Measure in the main process; every process follows the result.

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
        training.replace_draws(draws)

    def _probe(self, training: RunningTraining) -> BandSchedule:
        place = self.out / f".probe-{training.step:08d}"
        shutil.rmtree(place, ignore_errors=True)
        try:
            with training.averaged_weights():
                self.save(place / "model")
            device = training.accelerator.device
            settings = reprobe_settings(
                self.settings,
                model=place / "model",
                out=place / "run",
                # accelerate calls the CPU of several processes cpu:0
                device="cpu" if device.type == "cpu" else str(device),
                cache=training.batches.clips.encoder.cache,
            )
            with _as_one_process():
                result = run_probe(settings, progress=False)
            source = f"{training.settings.ckpt} step {training.step}"
            result.model = result.model.model_copy(update={"source": source})
            result.provenance = self.schedule.provenance
            return derive_schedule(result, former=self.schedule)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _report(
        self,
        training: RunningTraining,
        measured: BandSchedule,
        note: str | None,
        draws_moved: float | None = None,
    ) -> None:
        if not training.accelerator.is_main_process:
            return
        row: dict[str, Any] = {"step": training.step, "note": note, "classes": {}}
        for name, curves in measured.measured_classes().items():
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
        return {"schedule": self.schedule.to_json()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the saved schedule."""
        self.schedule = BandSchedule.model_validate(state["schedule"])


@contextmanager
def _as_one_process() -> Iterator[None]:
    """Let a probe run in this process alone; the others wait."""
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
    """Return the total variation distance of two distributions of (class, sigma).

    Levels are told apart to 1 / 400.

    Args:
        old: Draws before.
        new: Draws now, of the same clips.

    Returns:
        0 for the same density, 1 for disjoint ones.
    """
    edges = np.arange(401) / 400
    a, b = old.class_shares(edges), new.class_shares(edges)
    return float(sum(np.abs(a[name] - b[name]).sum() for name in a) / 2)


def _inside(bands: list[Band], grid: np.ndarray) -> np.ndarray:
    """Mark the places inside bands."""
    inside = np.zeros(len(grid), dtype=bool)
    for low, high in bands:
        inside |= (grid >= low) & (grid <= high)
    return inside
