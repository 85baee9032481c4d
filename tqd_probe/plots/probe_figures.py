"""The pictures of a probe, drawn from `gradsim.json` and `bands.json` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tqd_probe.clips.degradations import CONTROL, parse_degradations
from tqd_probe.plots.golden_density_figure import golden_density_figure
from tqd_probe.plots.heatmap import (
    AXIS,
    COSINE,
    TITLES,
    boundary,
    draw_cells,
    hatch_unresolved,
    mark_avoided,
    mark_boundary,
    outline_bands,
    result_edges,
    sorted_names,
    write_values,
)
from tqd_probe.plots.mixture import mixture_figures
from tqd_probe.plots.palette import BAND_COLOUR, SERIES
from tqd_probe.plots.save import write_figure
from tqd_probe.probing.result import (
    ProbeResult,
    SimilarityCurves,
    as_array,
    as_bounds,
)
from tqd_probe.schedules.band_schedule import BandSchedule


def draw_all(result: ProbeResult, schedule: BandSchedule, folder: Path) -> list[Path]:
    """Draw every picture of a run.

    Args:
        result: The result of a probe.
        schedule: Its band schedule.
        folder: Where the PNG files go.

    Returns:
        The files, in reading order.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.9)
    figures = {
        "similarity_heatmap": similarity_heatmap(result, schedule),
        "similarity_curves": similarity_curves(result, schedule),
        "norm_ratio_heatmap": norm_ratio_heatmap(result),
        "module_heatmap": module_heatmap(result),
        **mixture_figures(schedule, result.noise.range),
    }
    if schedule.golden_density is not None:
        figures["golden_density"] = golden_density_figure(
            result, schedule.golden_density
        )
    return [
        write_figure(each, folder / f"{name}.png") for name, each in figures.items()
    ]


def similarity_heatmap(result: ProbeResult, schedule: BandSchedule) -> Figure:
    """Draw the debiased cosine: degradation x noise level, bands outlined.

    Args:
        result: The result of a probe.
        schedule: Its band schedule.

    Returns:
        The figure.
    """
    names, edges = sorted_names(result), result_edges(result)
    values = np.array([as_array(result.subjects[name].cosine) for name in names])
    figure = Figure(figsize=(9, 1.9 + 0.46 * len(names)), layout="constrained")
    ceiling_axes, axes = figure.subplots(2, height_ratios=[1, len(names)], sharex=True)
    ceiling = as_array(result.golden.ceiling)[None]
    style: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    mesh = draw_cells(ceiling_axes, edges, ceiling, **style)
    write_values(ceiling_axes, edges, ceiling, mesh, "value")
    ceiling_axes.set_yticklabels(["golden\nnoise ceiling*"])
    mesh = draw_cells(axes, edges, values, **style)
    write_values(axes, edges, values, mesh, "value")
    axes.set_yticklabels([TITLES.get(name, name) for name in names])
    for each in (ceiling_axes, axes):
        mark_boundary(each, result)
    for row, name in enumerate(names):
        entry = schedule.classes.get(name) or schedule.degradations_detail[name]
        outline_bands(axes, row, entry.bands)
        mark_avoided(axes, row, entry.avoid)
        for low, high in (edge for pair in entry.edges_ci or [] for edge in pair):
            if high > low:
                axes.plot(
                    [low, high],
                    [row + 0.84] * 2,
                    color=BAND_COLOUR,
                    linewidth=1.6,
                    zorder=5,
                    marker="|",
                    markersize=7,
                )
    hatch_unresolved(axes, edges, result.golden.resolved, 0, len(names))
    hatch_unresolved(ceiling_axes, edges, result.golden.resolved, 0, 1)
    first_class = sum(result.subjects[name].kind != "class" for name in names)
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
        f"outlined: bands (cosine ≥ {criterion.cos_min:g}, its lower"
        f" {criterion.confidence:.0%} bound ≥ {criterion.cos_min - criterion.delta:g},"
        f" norm ratio in [{low:g}, {high:g}]){fitted};\n"
        f"dotted: avoid (upper bound < {criterion.cos_min:g}); hatched: golden"
        f" unresolved; {clips} clips × {draws} draws{_expert(result)}",
        fontsize=10,
    )
    figure.text(
        0.01,
        -0.06,
        "* what two sets of as many golden clips would score by the plain cosine; the"
        " debiased cosine of golden with itself is 1.\nA class has bands where each of"
        " its degradations has.",
        fontsize=7.5,
        color="0.3",
    )
    return figure


def _expert(result: ProbeResult) -> str:
    """Name the expert that was probed, and where the other one takes over."""
    if result.model.expert is None:
        return ""
    return (
        f"\nexpert for {result.model.expert} noise; the other one takes over at σ ="
        f" {boundary(result):g} (dashed)"
    )


def norm_ratio_heatmap(result: ProbeResult) -> Figure:
    """Draw the norm ratio: diverging, log2, centred at 1.

    Args:
        result: The result of a probe.

    Returns:
        The figure.
    """
    names, edges = sorted_names(result), result_edges(result)
    values = np.array([as_array(result.subjects[name].norm_ratio) for name in names])
    figure = Figure(figsize=(9, 1.6 + 0.46 * len(names)), layout="constrained")
    axes = figure.subplots()
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log2(values)
    finite = np.abs(logs[np.isfinite(logs)])
    reach = max(1.0, float(np.ceil(finite.max())) if len(finite) else 1.0)
    mesh = draw_cells(axes, edges, logs, cmap="RdBu_r", vmin=-reach, vmax=reach)
    write_values(axes, edges, logs, mesh, "power")
    axes.set_yticklabels([TITLES.get(name, name) for name in names])
    hatch_unresolved(axes, edges, result.golden.resolved, 0, len(names))
    axes.set_xlabel(AXIS)
    bar = figure.colorbar(mesh, ax=axes, label="gradient norm, degraded / golden")
    ticks = np.arange(-reach, reach + 1)
    bar.set_ticks(list(ticks), labels=[f"{2.0**tick:g}" for tick in ticks])
    figure.suptitle("Norm of the mean gradient against golden (debiased)", fontsize=10)
    return figure


def module_heatmap(result: ProbeResult) -> Figure:
    """Draw the cosine by module group and noise level, one panel per class.

    Args:
        result: The result of a probe.

    Returns:
        The figure.
    """
    edges, groups = result_edges(result), list(result.modules)
    classes = [name for name, s in result.subjects.items() if s.kind == "class"]
    shown = classes or list(result.subjects)
    size = 2.2 + 3.9 * len(shown), 1.8 + 0.2 * len(groups)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(ncols=len(shown), sharey=True, squeeze=False)
    for axes, name in zip(panels[0], shown):
        curves = [result.modules[group].subjects[name] for group in groups]
        values = np.array([as_array(each.cosine) for each in curves])
        mesh = draw_cells(axes, edges, values, cmap="viridis", vmin=0, vmax=1)
        for row, group in enumerate(groups):
            hatch_unresolved(axes, edges, result.modules[group].resolved, row, 1)
        axes.set_title(TITLES.get(name, name), fontsize=10)
        axes.set_xlabel(AXIS, fontsize=8)
    panels[0][0].set_yticklabels(groups, fontsize=7.5)
    figure.colorbar(mesh, ax=panels[0], label=COSINE)
    figure.suptitle(
        "By module group, input at the top (hatched: golden unresolved in the group)",
        fontsize=10,
    )
    return figure


def similarity_curves(result: ProbeResult, schedule: BandSchedule) -> Figure:
    """Draw cosine curves with confidence ribbons, a panel per class; controls last.

    Args:
        result: The result of a probe.
        schedule: Its band schedule.

    Returns:
        The figure.
    """
    panel_names: dict[str, list[str]] = {n: [] for n in schedule.measured_classes()}
    for name in schedule.degradations_detail:
        kind = parse_degradations(name)[0].kind
        kind = kind if kind != CONTROL else "controls"
        panel_names.setdefault(kind, []).append(name)
    if "controls" in panel_names:
        panel_names["controls"] = panel_names.pop("controls")
    size = 1.2 + 4.4 * len(panel_names), 4
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(ncols=len(panel_names), sharey=True, squeeze=False)
    palette = sns.color_palette(SERIES)
    levels = result.levels
    for axes, (kind, names) in zip(panels[0], panel_names.items()):
        for colour, name in zip(palette, names):
            _ribbon(axes, levels, result.subjects[name], colour, name)
        if kind in result.subjects:
            pooled = result.subjects[kind]
            _ribbon(axes, levels, pooled, "black", TITLES.get(kind, kind), width=2.4)
            for low, high in schedule.classes[kind].bands:
                axes.axvspan(low, high, ymax=0.03, color=BAND_COLOUR)
        axes.axhline(
            schedule.criterion.cos_min, color="0.5", linestyle=":", linewidth=1
        )
        for level, known in zip(levels, result.golden.resolved):
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
    curves: SimilarityCurves,
    colour: Any,
    label: str,
    width: float = 1.4,
) -> None:
    """Draw one curve with its intervals."""
    low, high = as_bounds(curves.cosine_ci).T
    axes.fill_between(levels, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        levels,
        as_array(curves.cosine),
        "o-",
        markersize=3.5,
        color=colour,
        linewidth=width,
        label=label,
    )
