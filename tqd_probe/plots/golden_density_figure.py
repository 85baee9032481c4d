"""Figure of the density of levels that golden gradients suggest, beside simple ones."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from tqd_probe.plots.heatmap import AXIS
from tqd_probe.plots.palette import CLASS_COLOURS
from tqd_probe.probing.result import ProbeResult, as_array, as_bounds
from tqd_probe.sampling.base_density import BaseDensity, MeasuredDensity
from tqd_probe.schedules.golden_density import GoldenDensity

GRID = (np.arange(400) + 0.5) / 400


def golden_density_figure(result: ProbeResult, density: GoldenDensity) -> Figure:
    """Draw the density with the intervals of the norms that it is in proportion to.

    Args:
        result: The result of a probe.
        density: The density of its schedule.

    Returns:
        The figure.
    """
    levels, values = result.levels, np.array(density.values)
    resolved = np.array(result.golden.resolved)
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.sqrt(np.maximum(as_array(result.golden.signal), 0))
        bounds = np.sqrt(np.maximum(as_bounds(result.golden.signal_ci), 0))
        scale = np.nanmedian((values / norms)[resolved])  # one number for all levels
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots()
    colour = CLASS_COLOURS["golden"]
    measured = MeasuredDensity(levels, values).pdf(GRID)
    axes.plot(GRID, measured, color=colour, label="in proportion to golden gradients")
    axes.fill_between(GRID, measured, color=colour, alpha=0.14, linewidth=0)
    axes.vlines(
        levels[resolved], *(scale * bounds[resolved].T), color=colour, linewidth=1.2
    )
    for known, face in ((True, colour), (False, "white")):
        some = resolved == known
        label = None if known or not some.any() else "not resolved: between neighbours"
        axes.plot(
            levels[some],
            values[some],
            "o",
            markersize=5,
            color=colour,
            markerfacecolor=face,
            label=label,
        )
    shift = result.noise.shift
    simple = {"uniform": BaseDensity(), "logit-normal": BaseDensity("logit_normal")}
    if shift != 1:
        simple[f"uniform, shift {shift:g}"] = BaseDensity(shift=shift)
    for (name, base), style in zip(simple.items(), ("--", ":", "-.")):
        axes.plot(GRID, base.pdf(GRID), style, color="0.45", label=name)
    axes.set_xlim(0, 1)
    top = max(2.0, float(measured.max()), float(np.max(scale * bounds[resolved])))
    axes.set_ylim(0, 1.05 * top)
    axes.set_xlabel(AXIS)
    axes.set_ylabel("density of levels")
    axes.legend(fontsize=8, framealpha=0.9)
    confidence = result.criterion.confidence
    axes.set_title(
        f"Levels by the norm of golden gradients ({confidence:.0%} intervals)",
        fontsize=10,
    )
    sns.despine(figure)
    return figure
