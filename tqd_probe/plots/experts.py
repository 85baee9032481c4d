"""One picture of two experts: each over its own range, the boundary between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tqd_probe.plots.heatmap import (
    AXIS,
    COSINE,
    TITLES,
    draw_cells,
    hatch_unresolved,
    mark_avoided,
    mark_boundary,
    outline_bands,
    result_edges,
    sorted_names,
)
from tqd_probe.plots.save import write_figure
from tqd_probe.probing.result import ProbeResult, as_array
from tqd_probe.schedules.band_schedule import BandSchedule


def experts_heatmap(
    results: list[ProbeResult], schedules: list[BandSchedule]
) -> Figure:
    """Draw the cosine of both experts on one axis of sigma; never averaged over it.

    Args:
        results: Results of the experts: high, then low.
        schedules: Their band schedules.

    Returns:
        The figure.
    """
    names = sorted_names(results[0])
    figure = Figure(figsize=(9, 1.6 + 0.46 * len(names)), layout="constrained")
    axes = figure.subplots()
    for result, schedule in zip(results, schedules):
        edges = result_edges(result)
        values = np.array([as_array(result.subjects[name].cosine) for name in names])
        mesh = draw_cells(axes, edges, values, cmap="viridis", vmin=0, vmax=1)
        for row, name in enumerate(names):
            entry = schedule.classes.get(name) or schedule.degradations_detail[name]
            outline_bands(axes, row, entry.bands)
            mark_avoided(axes, row, entry.avoid)
        hatch_unresolved(axes, edges, result.golden.resolved, 0, len(names))
    axes.set_yticklabels([TITLES.get(name, name) for name in names])
    mark_boundary(axes, results[0])
    axes.set_xlabel(AXIS)
    figure.colorbar(mesh, ax=axes, label=COSINE)
    source = schedules[0].model.source.replace("$", r"\$")
    figure.suptitle(
        f"{source}: two experts, two parameter spaces\nleft of σ ="
        f" {results[0].noise.range[0]:g} the expert for low noise, right of it the one"
        " for high noise; outlined: bands, dotted: avoid",
        fontsize=10,
    )
    return figure


def draw_experts(
    results: list[ProbeResult], schedules: list[BandSchedule], folder: Path
) -> Path:
    """Write the picture of two experts.

    Args:
        results: Results of the experts: high, then low.
        schedules: Their band schedules.
        folder: Where the PNG goes.

    Returns:
        The file.
    """
    figure = experts_heatmap(results, schedules)
    return write_figure(figure, folder / "experts_heatmap.png")
