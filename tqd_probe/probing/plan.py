"""Clips, draws and minutes for a wanted precision, forecast from a pilot."""

from __future__ import annotations

import numpy as np

from tqd_probe.probing.pilot import PILOT_DRAWS, Pilot, run_pilot
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.statistics.forecast import Forecast
from tqd_probe.statistics.golden_signal import GoldenLevel

PLANNED_DRAWS = (1, 2, 4)  # noise draws per clip that are planned for
NOTES = """\
noise of draws: share of the variance of single gradients that more draws of the same\
 clips shrink; undefined: the pilot cannot tell, plan with more clips
widths: where single runs with {draws} draws and that many clips come out,\
 {confidence:.0%} of them, for the class or degradation that needs most clips"""


def plan(settings: ProbeRunSettings, *, progress: bool = True) -> str:
    """Run a pilot and predict the cost of intervals of a wanted width.

    Args:
        settings: The settings of the run that is planned.
        progress: Show progress bars and costs.

    Returns:
        A table: per level, clips needed for each number of draws so that the level is
        resolved and every cosine's interval is as narrow as wanted, and minutes.
    """
    pilot = run_pilot(settings, progress=progress)
    levels, confidence = len(settings.sigmas()), settings.level_confidence()
    titles = "".join(f"{f'{draws} draws':>18}" for draws in PLANNED_DRAWS)
    rows = [
        _row(settings, pilot, float(sigma), golden, forecasts, levels)
        for sigma, golden, forecasts in zip(pilot.sigmas, pilot.golden, pilot.forecasts)
    ]
    return "\n".join(
        [
            f"pilot: {pilot.clips} clips x {PILOT_DRAWS} draws,"
            f" {pilot.seconds * 1000:.0f} ms per clip gradient, {pilot.versions}"
            " versions per clip",
            f"clips for cosine intervals of width {settings.plan_width:g} of every"
            f" class and degradation (minutes for all {levels} levels), by draws per"
            " clip",
            f"sigma   resolved  noise of draws  {titles}{'widths':>18}",
            *rows,
            NOTES.format(draws=PILOT_DRAWS, confidence=confidence),
        ]
    )


def _row(
    settings: ProbeRunSettings,
    pilot: Pilot,
    sigma: float,
    golden: GoldenLevel,
    forecasts: dict[str, Forecast],
    levels: int,
) -> str:
    """Write what one noise level needs."""
    confidence = settings.level_confidence()
    cells, widths = "", "undefined"
    for draws in PLANNED_DRAWS:
        needed = [
            (each.clips_for(settings.plan_width, draws, confidence), each)
            for each in forecasts.values()
        ]
        known = [(clips, each) for clips, each in needed if clips is not None]
        if len(known) < len(needed):
            cells += f"{'undefined':>18}"
            continue
        clips, hardest = max(known, key=lambda pair: pair[0])
        if draws == PILOT_DRAWS:
            low, high = hardest.prediction_interval(clips, draws, confidence)
            if np.isfinite([low, high]).all():
                widths = f"{low:.2g} to {high:.2g}"
        minutes = clips * draws * pilot.versions * levels * pilot.seconds / 60
        cells += f"{f'{clips} ({minutes:.1f} min)':>18}"
    between, within = max(golden.variance_clips, 0.0), golden.variance_draws
    share = within / (between + within) if between + within > 0 else float("nan")
    resolved = "yes" if golden.resolved else "no"
    return f"{sigma:<8.3g}{resolved:<10}{share:>14.0%}  {cells}{widths:>18}"
