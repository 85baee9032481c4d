"""One heatmap over noise levels: cells of true width, numbers, hatching, boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

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


class Levels(np.ndarray):
    """Noise levels that know the range of the network they are levels of."""

    span: tuple[float, float] = (0.0, 1.0)


def levels_of(result: dict[str, Any]) -> Levels:
    """Return the levels of a result.

    Args:
        result: Content of ``gradsim.json``.

    Returns:
        The levels ``[L]``, with the range of the network.
    """
    levels = np.array(result["noise"]["levels"]).view(Levels)
    low, high = result["noise"].get("range", (0.0, 1.0))
    levels.span = (low, high)
    return levels


def cell_edges(levels: np.ndarray) -> np.ndarray:
    """Place cell edges halfway between levels, from end to end of their range.

    Args:
        levels: Noise levels, rising ``[L]``.

    Returns:
        Edges ``[L + 1]``.
    """
    low, high = getattr(levels, "span", Levels.span)
    plain = np.asarray(levels)
    return np.concatenate([[low], (plain[1:] + plain[:-1]) / 2, [high]])


def draw_cells(
    axes: Axes, levels: np.ndarray, values: np.ndarray, **style: Any
) -> QuadMesh:
    """Draw a heatmap whose columns have their true width in sigma.

    Args:
        axes: Where to.
        levels: Noise levels, rising ``[L]``.
        values: ``[rows, L]``; NaN stays grey.
        **style: Of `pcolormesh`.

    Returns:
        The mesh, for a colour bar.
    """
    edges, rows = cell_edges(levels), np.arange(len(values) + 1)
    mesh = axes.pcolormesh(edges, rows, np.ma.masked_invalid(values), **style)
    axes.set_facecolor("0.85")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(values), 0)
    axes.set_yticks(np.arange(len(values)) + 0.5)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.tick_params(length=2)
    return mesh


def write_values(
    axes: Axes, levels: np.ndarray, places: np.ndarray, mesh: Any, digits: str
) -> None:
    """Write numbers into cells, dark on light and light on dark.

    Args:
        axes: Where to.
        levels: Noise levels, rising ``[L]``.
        places: The cells' values on the colour scale ``[rows, L]``.
        mesh: The heatmap.
        digits: What to write: ``value`` itself, or two to its ``power``.
    """
    edges = cell_edges(levels)
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


def hatch_unresolved(axes: Axes, result: dict[str, Any], rows: int) -> None:
    """Hatch the columns on which no band may rest.

    Args:
        axes: A heatmap.
        result: Content of ``gradsim.json``.
        rows: Rows of the heatmap.
    """
    edges = cell_edges(levels_of(result))
    for column, known in enumerate(result["golden"]["resolved"]):
        if not known:
            width = edges[column + 1] - edges[column]
            axes.add_patch(Rectangle((edges[column], 0), width, rows, **HATCH))


def mark_boundary(axes: Axes, result: dict[str, Any]) -> None:
    """Draw the boundary at which another expert takes over; nothing without experts.

    Args:
        axes: A heatmap.
        result: Content of ``gradsim.json``.
    """
    expert = result["model"].get("expert")
    if expert is not None:
        boundary = result["noise"]["range"][0 if expert == "high" else 1]
        axes.axvline(boundary, color="black", linestyle="--", linewidth=2, zorder=7)
