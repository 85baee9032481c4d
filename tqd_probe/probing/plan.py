"""What a wanted precision costs: clips, draws and time, from a small pilot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import InputError
from tqd_probe.core.processes import Processes
from tqd_probe.probing.checkpoint import model_levels, open_model
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.run import captured_gradients
from tqd_probe.probing.settings import RunSettings
from tqd_probe.statistics.forecast import Forecast, forecast
from tqd_probe.statistics.golden_signal import GoldenLevel
from tqd_probe.statistics.similarity import LevelStatistics

PILOT_CLIPS, PILOT_DRAWS, PILOT_LEVELS = 32, 2, 3
DRAWS = (1, 2, 4)


@dataclass(frozen=True)
class Pilot:
    """What a pilot found.

    Attributes:
        sigmas: Levels of the pilot ``[L]``.
        golden: Golden gradients per level.
        forecasts: Forecasts by class or degradation, per level.
        clips: Clips of the pilot.
        versions: Versions per clip.
        seconds: Time of one clip gradient in one process.
    """

    sigmas: np.ndarray
    golden: list[GoldenLevel]
    forecasts: list[dict[str, Forecast]]
    clips: int
    versions: int
    seconds: float


@contextmanager
def temporary_folder(processes: Processes) -> Iterator[Path]:
    """Make a folder that all processes share and that is removed after the block.

    Args:
        processes: The processes of the run.

    Yields:
        The folder.
    """
    with tempfile.TemporaryDirectory() as own:
        folder = processes.broadcast_from_main(lambda: own)
        assert folder is not None
        yield Path(folder)
        processes.barrier()  # all have read what they need


def run_pilot(settings: RunSettings, *, progress: bool = True) -> Pilot:
    """Probe a few clips at a few levels, in a folder that is thrown away.

    Args:
        settings: The settings of the run that is planned.
        progress: Show progress bars and costs.

    Returns:
        What the pilot found.

    Raises:
        InputError: If there are no degraded copies to plan with.
    """
    if not settings.parsed_degradations():
        raise InputError("--plan: plans degraded copies; give --degradations")
    device = resolve_device(settings.device)
    processes = Processes.join(device)
    levels, count = _pilot_levels(settings, processes.device(device))
    with temporary_folder(processes) as folder:
        pilot = settings.model_copy(
            update={
                "out": folder / "pilot",
                "device": device,
                "draws": PILOT_DRAWS,
                "adaptive": False,
                "levels": levels,
            }
        )
        with captured_gradients(
            pilot, progress=progress, clips_at_most=PILOT_CLIPS
        ) as probe:
            spent = probe.capture_seconds
            grams = [probe.level(i).all_groups() for i in range(len(probe.sigmas))]
    statistics = [
        LevelStatistics(gram, 0, confidence=settings.level_confidence())
        for gram in grams
    ]
    compared = paired_comparisons(probe.degradations)
    clips, versions = len(probe.encoded.ids), len(probe.encoded.conditions)
    passes = len(grams) * PILOT_DRAWS * (clips * versions + len(probe.unpaired_places))
    return Pilot(
        sigmas=probe.sigmas[:count],
        golden=[each.golden() for each in statistics[:count]],
        forecasts=[
            {name: forecast(each, rows) for name, rows in compared.items()}
            for each in statistics[:count]
        ],
        clips=clips,
        versions=versions,
        seconds=spent * processes.world / passes,
    )


def _pilot_levels(settings: RunSettings, device: str) -> tuple[str, int]:
    """Choose lowest, middle and highest level of the run.

    Returns:
        The option ``--levels`` of the pilot, and how many of its levels count: a pilot
        has two at least.
    """
    model = open_model(settings, device)
    sigmas = model_levels(settings, model)
    places = np.linspace(0, len(sigmas) - 1, PILOT_LEVELS).round().astype(int)
    chosen = [float(sigma) for sigma in sigmas[np.unique(places)]]
    count = len(chosen)
    if count == 1:
        chosen.append(float((sigmas[0] + model.sigma_range[1]) / 2))
    return ",".join(repr(sigma) for sigma in chosen), count


def plan(settings: RunSettings, *, progress: bool = True) -> str:
    """Run a pilot and predict the cost of intervals of a wanted width.

    Args:
        settings: The settings of the run that is planned.
        progress: Show progress bars and costs.

    Returns:
        A table: per level, clips needed for each number of draws so that the level is
        resolved and every cosine's interval is as narrow as wanted, and minutes.
    """
    pilot = run_pilot(settings, progress=progress)
    count, confidence = len(settings.sigmas()), settings.level_confidence()
    lines = [
        f"pilot: {pilot.clips} clips x {PILOT_DRAWS} draws,"
        f" {pilot.seconds * 1000:.0f} ms per clip gradient, {pilot.versions} versions"
        " per clip",
        f"clips for cosine intervals of width {settings.plan_width:g} of every class"
        f" and degradation (minutes for all {count} levels), by draws per clip",
        "sigma   resolved  noise of draws  "
        + "".join(f"{f'{r} draws':>18}" for r in DRAWS)
        + f"{'widths':>18}",
    ]
    for sigma, golden, some in zip(pilot.sigmas, pilot.golden, pilot.forecasts):
        cells, widths = "", "undefined"
        for draws in DRAWS:
            wanted = [
                (each.clips_for(settings.plan_width, draws, confidence), each)
                for each in some.values()
            ]
            if None in (number for number, _ in wanted):
                cells += f"{'undefined':>18}"
                continue
            clips, hardest = max(
                ((number or 0, each) for number, each in wanted), key=lambda x: x[0]
            )
            if draws == PILOT_DRAWS:
                low, high = hardest.prediction_interval(clips, draws, confidence)
                if np.isfinite([low, high]).all():
                    widths = f"{low:.2g} to {high:.2g}"
            passes = clips * draws * pilot.versions * count
            minutes = passes * pilot.seconds / 60
            cells += f"{f'{clips} ({minutes:.1f} min)':>18}"
        between, within = max(golden.variance_clips, 0.0), golden.variance_draws
        share = within / (between + within) if between + within > 0 else float("nan")
        known = "yes" if golden.resolved else "no"
        lines.append(f"{sigma:<8.3g}{known:<10}{share:>14.0%}  {cells}{widths:>18}")
    lines.append(
        "noise of draws: share of the variance of single gradients that more draws of"
        " the same clips shrink; undefined: the pilot cannot tell, plan with more"
        " clips\nwidths: where single runs with"
        f" {PILOT_DRAWS} draws and that many clips come out, {confidence:.0%} of them,"
        " for the class or degradation that needs most clips"
    )
    return "\n".join(lines)
