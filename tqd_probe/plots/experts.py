"""One picture of two experts: each over its own range, the boundary between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
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
    levels_of,
)
from tqd_probe.probing.measure import numbers
from tqd_probe.schedules.band_schedule import BandSchedule


def experts_heatmap(
    results: list[dict[str, Any]], schedules: list[BandSchedule]
) -> Figure:
    """Draw the cosine of both experts on one axis of sigma; never averaged over it.

    Args:
        results: Contents of ``gradsim.json``, one per expert.
        schedules: The experts' band schedules.

    Returns:
        The figure.
    """
    subjects = results[0]["subjects"]
    keys = sorted(subjects, key=lambda name: subjects[name]["kind"] == "class")
    figure, axes = plt.subplots(
        figsize=(9, 1.6 + 0.46 * len(keys)), layout="constrained"
    )
    for result, schedule in zip(results, schedules):
        levels = levels_of(result)
        values = np.array([numbers(result["subjects"][k]["cosine"]) for k in keys])
        mesh = draw_cells(axes, levels, values, cmap="viridis", vmin=0, vmax=1)
        edges = cell_edges(levels)
        for row, key in enumerate(keys):
            entry = schedule.classes.get(key) or schedule.degradations_detail[key]
            for start, stop in entry.bands:
                axes.add_patch(
                    Rectangle(
                        (start, row + 0.04), stop - start, 0.92, fill=False,
                        edgecolor="#D55E00", linewidth=2.4, zorder=5,
                    )
                )  # fmt: skip
        for column, known in enumerate(result["golden"]["resolved"]):
            if not known:
                wide = edges[column + 1] - edges[column]
                axes.add_patch(Rectangle((edges[column], 0), wide, len(keys), **HATCH))
    axes.set_yticklabels([TITLES.get(key, key) for key in keys])
    boundary = results[0]["noise"]["range"][0]
    axes.axvline(boundary, color="black", linestyle="--", linewidth=2, zorder=7)
    axes.set_xlabel(AXIS)
    figure.colorbar(mesh, ax=axes, label=COSINE)
    source = schedules[0].model.source.replace("$", r"\$")
    figure.suptitle(
        f"{source}: two experts, two parameter spaces\nleft of σ = {boundary:g} the"
        " expert for low noise, right of it the one for high noise; outlined: bands",
        fontsize=10,
    )
    return figure


def draw_experts(
    results: list[dict[str, Any]], schedules: list[BandSchedule], folder: Path
) -> Path:
    """Write the picture of two experts.

    Args:
        results: Contents of ``gradsim.json``: high, then low.
        schedules: The experts' band schedules.
        folder: Where the PNG goes.

    Returns:
        The file.
    """
    path = folder / "experts_heatmap.png"
    figure = experts_heatmap(results, schedules)
    with staged(path) as part:
        figure.savefig(part, dpi=150, format="png", bbox_inches="tight")
    plt.close(figure)
    return path
