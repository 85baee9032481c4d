"""The pictures of a probe, drawn from `gradsim.json` and `bands.json` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tqd_probe.core.files import staged
from tqd_probe.plots.heatmap import (
    AXIS,
    COSINE,
    HATCH,
    TITLES,
    cell_edges,
    draw_cells,
    hatch_unresolved,
    levels_of,
    mark_boundary,
    write_values,
)
from tqd_probe.plots.mixture import mixture_figures
from tqd_probe.probing.measure import numbers
from tqd_probe.schedules.band_schedule import BandSchedule


def draw_all(
    result: dict[str, Any], schedule: BandSchedule, folder: Path
) -> list[Path]:
    """Draw every picture of a run.

    Args:
        result: Content of ``gradsim.json``.
        schedule: The band schedule.
        folder: Where the PNG files go.

    Returns:
        The files, in the order a reader would look at them.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.9)
    figures = {
        "similarity_heatmap": similarity_heatmap(result, schedule),
        "similarity_curves": similarity_curves(result, schedule),
        "norm_ratio_heatmap": norm_ratio_heatmap(result),
        "module_heatmap": module_heatmap(result),
        **mixture_figures(schedule, levels_of(result).span),
    }
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        with staged(path) as part:
            figure.savefig(part, dpi=150, format="png", bbox_inches="tight")
        plt.close(figure)
        paths.append(path)
    return paths


def _rows(result: dict[str, Any], key: str) -> tuple[list[str], np.ndarray]:
    """Return row names and values ``[rows, levels]``; degradations, then classes."""
    subjects = result["subjects"]
    order = sorted(subjects, key=lambda name: subjects[name]["kind"] == "class")
    values = np.array([numbers(subjects[name][key]) for name in order])
    return [TITLES.get(name, name) for name in order], values


def similarity_heatmap(result: dict[str, Any], schedule: BandSchedule) -> Figure:
    """Draw the debiased cosine: degradation x noise level, bands outlined.

    Args:
        result: Content of ``gradsim.json``.
        schedule: The band schedule.

    Returns:
        The figure.
    """
    levels = levels_of(result)
    names, values = _rows(result, "cosine")
    keys = sorted(
        result["subjects"], key=lambda name: result["subjects"][name]["kind"] == "class"
    )
    figure, (ceiling_axes, axes) = plt.subplots(
        2,
        1,
        figsize=(9, 1.9 + 0.46 * len(names)),
        height_ratios=[1, len(names)],
        sharex=True,
        layout="constrained",
    )
    ceiling = numbers(result["golden"]["ceiling"])[None]
    style: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    mesh = draw_cells(ceiling_axes, levels, ceiling, **style)
    write_values(ceiling_axes, levels, ceiling, mesh, "value")
    ceiling_axes.set_yticklabels(["golden\nnoise ceiling*"])
    mesh = draw_cells(axes, levels, values, **style)
    write_values(axes, levels, values, mesh, "value")
    axes.set_yticklabels(names)
    for each in (ceiling_axes, axes):
        mark_boundary(each, result)
    for row, key in enumerate(keys):
        entry = schedule.classes.get(key) or schedule.degradations_detail[key]
        for start, stop in entry.bands:
            axes.add_patch(
                Rectangle(
                    (start, row + 0.04), stop - start, 0.92,
                    fill=False, edgecolor="#D55E00", linewidth=2.4, zorder=5,
                )
            )  # fmt: skip
        for low, high in (edge for pair in entry.edges_ci or [] for edge in pair):
            if high > low:
                axes.plot(
                    [low, high], [row + 0.84] * 2, color="#D55E00", linewidth=1.6,
                    zorder=5, marker="|", markersize=7,
                )  # fmt: skip
    hatch_unresolved(axes, result, len(names))
    hatch_unresolved(ceiling_axes, result, 1)
    first_class = sum(1 for key in keys if result["subjects"][key]["kind"] != "class")
    axes.axhline(first_class, color="white", linewidth=3)
    axes.set_xlabel(AXIS)
    figure.colorbar(mesh, ax=[ceiling_axes, axes], label=COSINE)
    criterion = schedule.criterion
    low, high = criterion.norm_range
    fitted = (
        "; of classes: fitted to the mixture's weights"
        if criterion.name == "mixture"
        else "; bars: intervals of their edges"
    )
    source = schedule.model.source.replace("$", r"\$")  # a lone $ starts mathematics
    clips, draws = schedule.golden.clips, schedule.golden.draws
    figure.suptitle(
        f"{source}: where degraded clips teach what golden clips teach\n"
        f"outlined: bands (lower {criterion.confidence:.0%} bound ≥"
        f" {criterion.cos_min:g}, norm ratio in [{low:g}, {high:g}]){fitted};"
        f" hatched: golden unresolved; {clips} clips × {draws} draws{_expert(result)}",
        fontsize=10,
    )
    figure.text(
        0.01,
        -0.03,
        "* what two sets of as many golden clips would score by the plain cosine; the"
        " debiased cosine of golden with itself is 1",
        fontsize=7.5,
        color="0.3",
    )
    return figure


def _expert(result: dict[str, Any]) -> str:
    """Say which expert was probed and where the other one takes over (dashed)."""
    name = result["model"].get("expert")
    if name is None:
        return ""
    boundary = result["noise"]["range"][0 if name == "high" else 1]
    return (
        f"\nexpert for {name} noise; the other one takes over at σ = {boundary:g}"
        " (dashed)"
    )


def norm_ratio_heatmap(result: dict[str, Any]) -> Figure:
    """Draw the norm ratio: diverging, log2, centred at 1.

    Args:
        result: Content of ``gradsim.json``.

    Returns:
        The figure.
    """
    levels = levels_of(result)
    names, values = _rows(result, "norm_ratio")
    figure, axes = plt.subplots(
        figsize=(9, 1.6 + 0.46 * len(names)), layout="constrained"
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log2(values)
    finite = np.abs(logs[np.isfinite(logs)])
    reach = max(1.0, float(np.ceil(finite.max())) if len(finite) else 1.0)
    mesh = draw_cells(axes, levels, logs, cmap="RdBu_r", vmin=-reach, vmax=reach)
    write_values(axes, levels, logs, mesh, "power")
    axes.set_yticklabels(names)
    hatch_unresolved(axes, result, len(names))
    axes.set_xlabel(AXIS)
    bar = figure.colorbar(mesh, ax=axes, label="gradient norm, degraded / golden")
    ticks = np.arange(-reach, reach + 1)
    bar.set_ticks(list(ticks), labels=[f"{2.0**tick:g}" for tick in ticks])
    figure.suptitle("Norm of the mean gradient against golden (debiased)", fontsize=10)
    return figure


def module_heatmap(result: dict[str, Any]) -> Figure:
    """Draw the cosine by module group and noise level, one panel per class.

    Args:
        result: Content of ``gradsim.json``.

    Returns:
        The figure.
    """
    levels = levels_of(result)
    groups = list(result["modules"])
    classes = [n for n, s in result["subjects"].items() if s["kind"] == "class"]
    shown = classes or list(result["subjects"])
    figure, panels = plt.subplots(
        1,
        len(shown),
        figsize=(2.2 + 3.9 * len(shown), 1.8 + 0.2 * len(groups)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, name in zip(panels[0], shown):
        values = np.array(
            [numbers(result["modules"][g]["subjects"][name]["cosine"]) for g in groups]
        )
        mesh = draw_cells(axes, levels, values, cmap="viridis", vmin=0, vmax=1)
        edges = cell_edges(levels)
        for row, group in enumerate(groups):
            for column, known in enumerate(result["modules"][group]["resolved"]):
                if not known:
                    width = edges[column + 1] - edges[column]
                    axes.add_patch(Rectangle((edges[column], row), width, 1, **HATCH))
        axes.set_title(TITLES.get(name, name), fontsize=10)
        axes.set_xlabel(AXIS, fontsize=8)
    panels[0][0].set_yticklabels(groups, fontsize=7.5)
    figure.colorbar(mesh, ax=panels[0], label=COSINE)
    figure.suptitle(
        "By module group, input at the top (hatched: golden unresolved in the group)",
        fontsize=10,
    )
    return figure


def similarity_curves(result: dict[str, Any], schedule: BandSchedule) -> Figure:
    """Draw cosine curves with confidence ribbons, one panel per kind.

    Args:
        result: Content of ``gradsim.json``.
        schedule: The band schedule.

    Returns:
        The figure.
    """
    levels = levels_of(result)
    by_class: dict[str, list[str]] = {}
    for name, entry in schedule.classes.items():
        by_class[name] = [f"{n}:{s}" for n, s in entry.degradations.items()]
    taken = {name for names in by_class.values() for name in names}
    controls = [n for n in schedule.degradations_detail if n not in taken]
    if controls:
        by_class["controls"] = controls
    figure, panels = plt.subplots(
        1,
        len(by_class),
        figsize=(1.2 + 4.4 * len(by_class), 4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    palette = sns.color_palette("colorblind")
    for axes, (kind, names) in zip(panels[0], by_class.items()):
        for colour, name in zip(palette, names):
            _ribbon(axes, levels, result["subjects"][name], colour, name)
        if kind in result["subjects"]:
            pooled = result["subjects"][kind]
            _ribbon(axes, levels, pooled, "black", TITLES.get(kind, kind), width=2.4)
            for low, high in schedule.classes[kind].bands:
                axes.axvspan(low, high, ymax=0.03, color="#D55E00")
        axes.axhline(
            schedule.criterion.cos_min, color="0.5", linestyle=":", linewidth=1
        )
        for level, known in zip(levels, result["golden"]["resolved"]):
            if not known:
                axes.axvline(level, color="0.6", linestyle="--", linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.25, 1.15)
        axes.set_xlabel(AXIS)
        axes.set_title(kind.replace("_", " "), fontsize=10)
        axes.legend(fontsize=8, loc="lower right", framealpha=0.9)
    panels[0][0].set_ylabel(COSINE)
    figure.suptitle(
        f"Similarity with {schedule.criterion.confidence:.0%} intervals over clips"
        " (orange: band of the class; dotted: threshold; dashed: golden unresolved)",
        fontsize=10,
    )
    sns.despine(figure)
    return figure


def _ribbon(
    axes: Axes,
    levels: np.ndarray,
    curves: dict[str, Any],
    colour: Any,
    label: str,
    width: float = 1.4,
) -> None:
    """Draw one curve with its intervals."""
    bounds = curves["cosine_ci"]
    low = numbers([None if pair is None else pair[0] for pair in bounds])
    high = numbers([None if pair is None else pair[1] for pair in bounds])
    axes.fill_between(levels, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        levels, numbers(curves["cosine"]), "o-", markersize=3.5,
        color=colour, linewidth=width, label=label,
    )  # fmt: skip
