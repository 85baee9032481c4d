"""One heatmap over noise levels: cells of true width, numbers, hatching, boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from tqd_probe.plots.palette import AVOID_COLOUR, BAND_COLOUR
from tqd_probe.probing.result import ProbeResult
from tqd_probe.schedules.bands import Band, cell_edges

TITLES = {
    "visual_degraded": "visual, pooled",
    "motion_degraded": "motion, pooled",
    "both_degraded": "both",
}
AXIS = "noise level σ\n← detail                         structure and motion →"
COSINE = "debiased gradient cosine to golden"
HATCH: dict[str, Any] = {
    "fill": False,
    "hatch": "////",
    "edgecolor": "0.35",
    "linewidth": 0,
}


def sorted_names(result: ProbeResult) -> list[str]:
    """Order the rows of a heatmap.

    Args:
        result: The result of a probe.

    Returns:
        Names of comparisons: degradations, then classes.
    """
    compared = result.subjects
    return sorted(compared, key=lambda name: compared[name].kind == "class")


def result_edges(result: ProbeResult) -> np.ndarray:
    """Return the edges of a result's levels, over the range of its network.

    Args:
        result: The result of a probe.

    Returns:
        Edges ``[L + 1]``.
    """
    return cell_edges(result.levels, result.noise.range)


def draw_cells(
    axes: Axes, edges: np.ndarray, values: np.ndarray, **style: Any
) -> QuadMesh:
    """Draw a heatmap whose columns have their true width in sigma.

    Args:
        axes: Where to.
        edges: Ends of the columns, rising ``[L + 1]``.
        values: ``[rows, L]``; NaN stays grey.
        **style: Of `pcolormesh`.

    Returns:
        The mesh, for a colour bar.
    """
    rows = np.arange(len(values) + 1)
    mesh = axes.pcolormesh(edges, rows, np.ma.masked_invalid(values), **style)
    axes.set_facecolor("0.85")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(values), 0)
    axes.set_yticks(np.arange(len(values)) + 0.5)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.tick_params(length=2)
    return mesh


def write_values(
    axes: Axes, edges: np.ndarray, places: np.ndarray, mesh: Any, digits: str
) -> None:
    """Write numbers into cells, dark on light and light on dark.

    Args:
        axes: Where to.
        edges: Ends of the columns, rising ``[L + 1]``.
        places: The cells' values on the colour scale ``[rows, L]``.
        mesh: The heatmap.
        digits: What to write: ``value`` itself, or two to its ``power``.
    """
    for row, line in enumerate(places):
        for column, value in enumerate(line):
            if not np.isfinite(value) or edges[column + 1] - edges[column] < 0.045:
                continue
            colour = mesh.cmap(mesh.norm(value))
            red, green, blue, _ = colour
            bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
            text = f"{2.0**value:.2g}" if digits == "power" else f"{value:.2f}"
            if digits != "power" and abs(value) < 1:
                text = text.replace("0.", ".", 1)
            axes.text(
                (edges[column] + edges[column + 1]) / 2,
                row + 0.5,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="black" if bright else "white",
                zorder=6,
                path_effects=[withStroke(linewidth=2, foreground=colour)],
            )


def hatch_unresolved(
    axes: Axes, edges: np.ndarray, resolved: list[bool], top: float, height: float
) -> None:
    """Hatch the cells on which no band may rest.

    Args:
        axes: A heatmap.
        edges: Ends of the columns, rising ``[L + 1]``.
        resolved: Whether golden is resolved ``[L]``.
        top: Row at which the hatching begins.
        height: Rows that it covers.
    """
    for column, known in enumerate(resolved):
        if not known:
            width = edges[column + 1] - edges[column]
            place = edges[column], top
            axes.add_patch(Rectangle(place, width, height, **HATCH))


def outline_bands(axes: Axes, row: int, bands: list[Band]) -> None:
    """Outline the bands of a class or degradation.

    Args:
        axes: A heatmap.
        row: Its row.
        bands: Intervals of sigma.
    """
    for start, stop in bands:
        axes.add_patch(
            Rectangle(
                (start, row + 0.04),
                stop - start,
                0.92,
                fill=False,
                edgecolor=BAND_COLOUR,
                linewidth=2.4,
                zorder=5,
            )
        )


def mark_avoided(axes: Axes, row: int, intervals: list[Band] | None) -> None:
    """Dot the bottom of a row where its class or degradation is to be avoided.

    Args:
        axes: A heatmap.
        row: The row.
        intervals: Intervals of sigma; None where they are not known.
    """
    for start, stop in intervals or []:
        axes.plot(
            [start, stop],
            [row + 0.9] * 2,
            color=AVOID_COLOUR,
            linewidth=1.6,
            linestyle=(0, (1, 2)),
            zorder=4,
        )


def mark_boundary(axes: Axes, result: ProbeResult) -> None:
    """Draw the boundary at which another expert takes over; nothing without experts.

    Args:
        axes: A heatmap.
        result: The result of a probe.
    """
    if result.model.expert is not None:
        style: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 2}
        axes.axvline(boundary(result), zorder=7, **style)


def boundary(result: ProbeResult) -> float:
    """Return the noise level at which the other expert takes over.

    Args:
        result: The result of a probe of an expert.

    Returns:
        Sigma.
    """
    low, high = result.noise.range
    return low if result.model.expert == "high" else high
