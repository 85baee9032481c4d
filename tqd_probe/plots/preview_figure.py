"""Figure of a preview: density of sigma by data set and expert, over the bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tqd_probe.core.clip_classes import LABELS
from tqd_probe.exporting.preview_table import class_of, intervals_of, measured
from tqd_probe.exporting.run_length import together
from tqd_probe.exporting.trainer_format import TimestepPreview, TrainedLevels
from tqd_probe.plots.palette import CLASS_COLOURS
from tqd_probe.schedules.band_schedule import BandSchedule

CELLS = 50  # of the density
LEGEND_COLUMNS = 3
HIGHEST = 8.0  # densities above are cut
PLAIN = ("0.25", "#56B4E9", "#D55E00", "0.6", "#8C6D31")  # no colour of a class
STRENGTHS = {"use": 0.95, "test": 0.3}  # opacity of a band by rating


def preview_figure(
    preview: TimestepPreview, schedule: BandSchedule | None = None
) -> Figure:
    """Draw what a configuration yields, and below it where a schedule's classes serve.

    Args:
        preview: What the configuration yields.
        schedule: A schedule to hold it against.

    Returns:
        The figure.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    names = measured(schedule) if schedule is not None else []
    curves = {id(each.levels) for each in preview.trained}
    rows = -(-(len(curves) + 1) // LEGEND_COLUMNS)
    height = 3.3 + 0.32 * len(names) + 0.2 * rows
    figure = Figure(figsize=(7.2, height), layout="constrained")
    if schedule is None or not names:
        axes = figure.subplots()
    else:
        ratios = [3.0, 0.32 * len(names)]
        axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
        draw_bands(strip, schedule, names)
    draw_densities(axes, preview)
    axes.set_title(f"{preview.trainer}: {preview.source.name}", loc="left")
    figure.axes[-1].set_xlabel("noise level σ (1: pure noise)")
    figure.legend(  # below, where it covers no curve
        loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=8
    )
    return figure


def draw_densities(axes: Axes, preview: TimestepPreview) -> None:
    """Draw the density of each data set, and the levels drawn again and again."""
    edges = np.linspace(0, 1, CELLS + 1)
    top = 0.0
    curves: dict[int, list[TrainedLevels]] = {}
    for each in preview.trained:  # the data sets of a run may share their levels
        curves.setdefault(id(each.levels), []).append(each)
    for number, rows in enumerate(curves.values()):
        each, colour = rows[0], colour_of(rows, number)
        density = each.levels.density(edges)
        label = "\n".join(map(label_of, rows))
        axes.stairs(density, edges, color=colour, lw=1.8, label=label)
        axes.stairs(density, edges, color=colour, alpha=0.14, fill=True)
        top = max(top, float(density.max()))
    for each in together(preview.trained):
        density = each.levels.density(edges)
        label = label_of(each)
        axes.stairs(density, edges, color="0.1", lw=1.4, ls="--", label=label)
        top = max(top, float(density.max()))
    highest = min(1.12 * max(top, 1.0), HIGHEST)
    for number, rows in enumerate(curves.values()):
        each, colour = rows[0], colour_of(rows, number)
        for level, mass in each.levels.atoms():
            axes.plot([level, level], [0, 0.86 * highest], color=colour, lw=2.2)
            axes.annotate(
                f"{100 * mass:.0f} % at {level:.3g}",
                (level, 0.87 * highest),
                ha="right" if level > 0.5 else "left",
                color=colour,
                fontsize=8,
            )
    axes.set(xlim=(0, 1), ylim=(0, highest), ylabel="density of draws")
    sns.despine(ax=axes)


def draw_bands(axes: Axes, schedule: BandSchedule, names: list[str]) -> None:
    """Draw the bands of each class: use in full, test pale, avoid hatched."""
    for row, name in enumerate(names):
        colour = CLASS_COLOURS[name]
        for rating, intervals in intervals_of(schedule, name).items():
            bars = [(low, high - low) for low, high in intervals]
            if rating == "avoid":
                style: dict[str, Any] = {
                    "facecolor": "none",
                    "edgecolor": "0.75",
                    "hatch": "////",
                }
            else:
                style = {"facecolor": colour, "alpha": STRENGTHS[rating]}
            axes.broken_barh(bars, (row - 0.36, 0.72), lw=0, **style)
    axes.set_yticks(range(len(names)), [LABELS[name] for name in names])
    axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, 1))
    axes.tick_params(axis="y", length=0)
    axes.text(
        1.0,
        1.02,
        "full: use   pale: test   hatched: avoid",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=7,
        color="0.35",
    )
    sns.despine(ax=axes, left=True)


def colour_of(rows: list[TrainedLevels], number: int) -> str:
    """Return the colour of a curve: that of the class its data set is named after."""
    name, *others = {class_of(each.data_set) for each in rows}
    if name is None or others:
        return PLAIN[number % len(PLAIN)]
    return CLASS_COLOURS[name]


def label_of(trained: TrainedLevels) -> str:
    """Return the label of a data set in the legend."""
    expert = f", {trained.expert}-noise network" if trained.expert else ""
    share = "" if trained.share is None else f" ({100 * trained.share:.0f} %)"
    name = trained.data_set if len(trained.data_set) < 32 else trained.data_set[-30:]
    return f"{name}{expert}{share}"
