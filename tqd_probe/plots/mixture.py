"""Pictures of the mixture: weights, predicted risks, and cosines across levels."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from tqd_probe.core.clip_classes import LABELS
from tqd_probe.plots.palette import COLOURS
from tqd_probe.probing.result import as_array
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.bands import Band, cell_edges

NAMES = {
    **LABELS,
    "pooled": "pooled, every clip alike",
    "beta": "the paper's Beta",
    "mixture": "mixture",
}


def weights_figure(schedule: BandSchedule, span: Band = (0.0, 1.0)) -> Figure:
    """Draw the mixture weights over sigma, stacked; errors and level density below.

    Args:
        schedule: A schedule with a mixture.
        span: Range of the network; an expert has its own.

    Returns:
        The figure.

    Raises:
        ValueError: If it has none.
    """
    mixture = schedule.mixture
    if mixture is None:
        raise ValueError("the schedule has no mixture")
    levels = np.array(schedule.noise.levels)
    weights = np.array(mixture.weights)
    figure = Figure(figsize=(8, 8), layout="constrained")
    top, middle, bottom = figure.subplots(3, height_ratios=[2, 1.5, 0.8], sharex=True)
    # The outermost levels stand for the range up to its ends.
    places = np.concatenate([[span[0]], levels, [span[1]]])
    padded = np.concatenate([weights[:1], weights, weights[-1:]])
    colours = [COLOURS[name] for name in mixture.classes]
    labels = [NAMES[name] for name in mixture.classes]
    top.stackplot(places, padded.T, colors=colours, labels=labels, alpha=0.9)
    for level, known in zip(levels, mixture.resolved or [True] * len(levels)):
        if not known:
            top.axvline(level, color="white", linestyle="--", linewidth=1)
    top.set_ylim(0, 1)
    top.set_ylabel("weight of the class")
    top.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=4, fontsize=8)
    count = len(mixture.classes)
    for k, name in enumerate(mixture.classes):
        shift = 0.006 * (k - (count - 1) / 2)
        pairs = [row[k] for row in mixture.weights_ci or []]
        for level, value, pair in zip(levels, weights[:, k], pairs):
            if pair is not None:
                middle.plot([level + shift] * 2, pair, color=COLOURS[name], alpha=0.6)
            middle.plot(level + shift, value, "o", markersize=4, color=COLOURS[name])
    middle.set_ylim(-0.02, 1.02)
    middle.set_ylabel(f"weight, {schedule.criterion.confidence:.0%} interval")
    density = np.array(mixture.level_density or [np.nan] * len(levels))
    edges = cell_edges(levels, span)
    bottom.stairs(density / np.diff(edges), edges, color="0.3", fill=True, alpha=0.5)
    bottom.set_ylim(0, None)
    bottom.set_ylabel("density of σ")
    bottom.set_xlabel("noise level σ")
    bottom.set_xlim(0, 1)
    pool = ", ".join(f"{NAMES[n]} {mixture.pool[n]}" for n in mixture.classes)
    figure.suptitle(
        f"Mixture weights, {mixture.form} (experimental); clips in the data: {pool}",
        fontsize=10,
    )
    sns.despine(figure)
    return figure


def risk_figure(schedule: BandSchedule) -> Figure:
    """Draw the predicted gradient error of the mixture and of other ways to train.

    Args:
        schedule: A schedule with a mixture.

    Returns:
        The figure: curves over sigma, or bars for the joint form.

    Raises:
        ValueError: If it has none.
    """
    mixture = schedule.mixture
    if mixture is None or mixture.risk is None:
        raise ValueError("the schedule has no predicted risks")
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    order = [n for n in NAMES if n in mixture.risk]
    rows = {name: as_array(mixture.risk[name]) for name in order}
    if mixture.form == "joint":
        values = [rows[name][0] for name in order]
        axes.barh(
            [NAMES[n] for n in order],
            values,
            color=[COLOURS[n] for n in order],
        )
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("squared error of the gradient, levels together")
    else:
        levels = np.array(schedule.noise.levels)
        for name in order:
            wide = name == "mixture"
            axes.plot(
                levels,
                rows[name],
                color=COLOURS[name],
                linewidth=2.4 if wide else 1.3,
                marker="o",
                linestyle="--" if name in ("pooled", "beta") else "-",
                markersize=4,
                label=NAMES[name],
                zorder=5 if wide else 2,
            )
        axes.set_yscale("log")
        axes.set_xlim(0, 1)
        axes.set_xlabel("noise level σ")
        axes.set_ylabel("squared error of the gradient")
        axes.legend(fontsize=8)
    figure.suptitle(
        "Predicted squared error against the golden gradient: bias and variance"
        " (a class alone, all pooled, the paper's Beta, the mixture)",
        fontsize=10,
    )
    sns.despine(figure)
    return figure


def cross_level_map(schedule: BandSchedule, span: Band = (0.0, 1.0)) -> Figure:
    """Draw the cosine of golden at one level with each class at another.

    Args:
        schedule: A schedule with cross-level cosines.
        span: Range of the network; an expert has its own.

    Returns:
        The figure: one map per class, golden first.

    Raises:
        ValueError: If it has none.
    """
    if not schedule.cross_level:
        raise ValueError("the schedule has no cross-level cosines")
    levels = np.array(schedule.noise.levels)
    edges = cell_edges(levels, span)
    names = list(schedule.cross_level)
    figure = Figure(figsize=(1.4 + 3.4 * len(names), 4), layout="constrained")
    panels = figure.subplots(ncols=len(names), sharey=True, squeeze=False)
    for axes, name in zip(panels[0], names):
        table = np.array([as_array(row) for row in schedule.cross_level[name]])
        for row, known in enumerate(schedule.golden.resolved):
            if not known:
                table[row] = np.nan
        mesh = axes.pcolormesh(
            edges,
            edges,
            np.ma.masked_invalid(table),
            cmap="RdBu_r",
            vmin=-1,
            vmax=1,
        )
        axes.set_facecolor("0.85")
        axes.set_aspect("equal")
        axes.set_title(NAMES.get(name, name), fontsize=10)
        axes.set_xlabel("σ of the class")
    panels[0][0].set_ylabel("σ of golden")
    figure.colorbar(mesh, ax=panels[0], label="debiased gradient cosine", shrink=0.8)
    figure.suptitle(
        "Across noise levels: does a class at one level teach what golden clips teach"
        " at another?\n(grey: golden unresolved; products between levels from sketched"
        " gradients)",
        fontsize=9,
    )
    return figure


def mixture_figures(
    schedule: BandSchedule, span: Band = (0.0, 1.0)
) -> dict[str, Figure]:
    """Draw those of these figures for which the schedule has data.

    Args:
        schedule: The schedule.
        span: Range of the network; an expert has its own.

    Returns:
        Figures by file name.
    """
    figures = {}
    if schedule.cross_level and len(schedule.noise.levels) > 1:
        figures["cross_level_map"] = cross_level_map(schedule, span)
    if schedule.mixture is not None:
        figures["mixture_weights"] = weights_figure(schedule, span)
    if schedule.mixture is not None and schedule.mixture.risk is not None:
        figures["mixture_risk"] = risk_figure(schedule)
    return figures
