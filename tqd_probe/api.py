"""The probe with its figures, for the command line, notebooks and other programs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

from tqd_probe.core.devices import resolve_device
from tqd_probe.core.processes import (
    Processes,
    is_main_process,
    shared_temporary_folder,
)
from tqd_probe.plots.experts import draw_experts
from tqd_probe.plots.probe_figures import draw_all
from tqd_probe.probing.experts import settings_per_expert
from tqd_probe.probing.plan import plan
from tqd_probe.probing.result import ProbeResult
from tqd_probe.probing.run import (
    RESULT_FILE,
    SCHEDULE_FILE,
    USEFULNESS_FILE,
    run_probe,
)
from tqd_probe.probing.run_directory import run_directory
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.probing.wall_time import add_achieved
from tqd_probe.schedules.band_schedule import BandSchedule

FIGURES = "figures"


@dataclass(frozen=True)
class WrittenProbe:
    """A finished probe and its files.

    Attributes:
        result: The result.
        schedule: The band schedule derived from it.
        files: What was written, for the user to look at.
    """

    result: ProbeResult
    schedule: BandSchedule
    files: list[Path]


@overload
def probe(
    settings: None = None, *, progress: bool = True, plan: Literal[True], **options: Any
) -> str: ...


@overload
def probe(
    settings: None = None,
    *,
    progress: bool = True,
    expert: Literal["both"],
    **options: Any,
) -> dict[str, ProbeResult]: ...


@overload
def probe(
    settings: ProbeRunSettings | None = None, *, progress: bool = True, **options: Any
) -> ProbeResult: ...


def probe(
    settings: ProbeRunSettings | None = None, *, progress: bool = True, **options: Any
) -> ProbeResult | dict[str, ProbeResult] | str:
    """Measure at which noise levels imbalanced clips teach what golden clips teach.

    With ``out``, writes what the command line writes (``bands.json``, ``gradsim.json``,
    ``clips.csv``, figures), and the same call resumes a run that was stopped. Without
    ``out`` nothing is left on disk but the cache of encoded clips.

    Args:
        settings: The settings; or give them one by one.
        progress: Show progress bars and costs.
        **options: Fields of `ProbeRunSettings`, such as ``ckpt="tiny"``.

    Returns:
        The result, which `derive_schedule` takes. With ``plan=True``, the table of
        clips and time instead; with ``expert="both"``, both by expert, ``high`` and
        ``low``.
    """
    settings = settings or ProbeRunSettings(**options)
    if settings.plan:
        return plan_table(settings, progress=progress)
    if settings.out is not None:
        written = {
            expert: write_probe(each, progress=progress)
            for expert, each in settings_per_expert(settings).items()
        }
        draw_both_experts(settings, written)
        results = {expert: each.result for expert, each in written.items()}
    else:
        processes = Processes.join(resolve_device(settings.device))
        with shared_temporary_folder(processes) as folder:
            settings = settings.model_copy(update={"out": folder / "run"})
            results = {
                expert: run_probe(each, progress=progress)
                for expert, each in settings_per_expert(settings).items()
            }
    if settings.expert != "both":
        return results[settings.expert]
    return {str(expert): result for expert, result in results.items()}


def write_probe(settings: ProbeRunSettings, *, progress: bool = True) -> WrittenProbe:
    """Probe one network and draw its figures.

    Args:
        settings: The settings; for one expert.
        progress: Show progress bars and costs.

    Returns:
        Result, schedule and files, in every process of the run.
    """
    out = run_directory(settings)
    result = run_probe(settings, progress=progress)
    schedule = BandSchedule.load(out / SCHEDULE_FILE)
    files = [out / name for name in (SCHEDULE_FILE, RESULT_FILE, USEFULNESS_FILE)]
    if is_main_process():
        began = time.perf_counter()
        files += draw_all(result, schedule, out / FIGURES)
        add_achieved(out, "figures", time.perf_counter() - began)
    return WrittenProbe(result, schedule, files)


def draw_both_experts(
    settings: ProbeRunSettings, written: dict[str | None, WrittenProbe]
) -> Path | None:
    """Draw the experts of a probe of both in one picture.

    Args:
        settings: The settings of the probe.
        written: Finished probes by expert, high before low.

    Returns:
        The file; None for a probe of one network, and in other processes than the main
        one.
    """
    if settings.expert != "both" or not is_main_process():
        return None
    results = [each.result for each in written.values()]
    schedules = [each.schedule for each in written.values()]
    return draw_experts(results, schedules, run_directory(settings) / FIGURES)


def plan_table(settings: ProbeRunSettings, *, progress: bool = True) -> str:
    """Predict clips, draws and minutes for intervals of a wanted width.

    Args:
        settings: The settings, with ``plan_width``.
        progress: Show progress bars and costs of the pilot.

    Returns:
        The table; one below the other for both experts.
    """
    tables = []
    for expert, each in settings_per_expert(settings).items():
        if settings.expert == "both":
            tables.append(f"expert for {expert} noise:")
        tables.append(plan(each, progress=progress))
    return "\n".join(tables)
