"""Draw what similarity predicts against what training achieves, start by start."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from figures.helpers import (
    FIRST,
    REFERENCE,
    SECOND,
    all_results_of,
    figure_parser,
    save,
    set_style,
)

ACHIEVED = "share of golden gain"
LIMITS = (-1.6, 1.6)  # farther points are drawn at the edge


def scatter(axes: plt.Axes, result: dict[str, Any], predictor: str) -> None:
    """Draw the pairs of degradation and level against one predictor."""
    marks, colours = _marks(result), _colours(result)
    for point in result["points"]:
        if not point["used"]:
            continue
        x, y = point["predicted"][predictor], point["achieved"][ACHIEVED]
        low, high = point["share_ci"]
        shown = float(np.clip(y, *LIMITS))
        inside = shown == y
        axes.errorbar(
            x if predictor == "cosine" else -x,
            shown,
            yerr=[[max(y - low, 0)], [max(high - y, 0)]] if inside else None,
            fmt=marks[point["degradation"]],
            color=colours[point["sigma"]],
            markersize=6,
            elinewidth=0.7,
            alpha=0.9,
        )
    found = result["correlations"][ACHIEVED][predictor]
    low, high = found["degradations_ci"] or (np.nan, np.nan)
    text = f"rank correlation {found['spearman']:.2f} [{low:.2f}, {high:.2f}]"
    axes.set_title(f"{predictor}: {text}", fontsize=10)
    axes.axhline(1, linestyle=":", **REFERENCE)
    axes.axhline(0, **REFERENCE)
    axes.set_ylim(LIMITS[0] - 0.1, LIMITS[1] + 0.1)


def correlations(axes: plt.Axes, result: dict[str, Any]) -> None:
    """Draw the rank correlation of every predictor with its two intervals."""
    table = result["correlations"][ACHIEVED]
    for place, one in enumerate(reversed(table.values())):
        if one["spearman"] is None:
            continue
        for ends, width, shift in (
            (one["degradations_ci"], 1.2, 0.12),
            (one["measured_ci"], 3.2, -0.12),
        ):
            if ends:
                axes.plot(ends, [place + shift] * 2, color=FIRST, linewidth=width)
        axes.plot(one["spearman"], place, "o", color=SECOND)
    axes.set_yticks(range(len(table)), list(reversed(table)), fontsize=8)
    axes.axvline(0, **REFERENCE)
    axes.set_xlabel(
        "rank correlation with the share, 95 %\nthick: measured, thin: degradations"
    )
    axes.set_title(
        f"{result['pairs_used']} of {result['pairs']} pairs, {result['seeds']} seeds",
        fontsize=10,
    )


def legend(axes: plt.Axes, result: dict[str, Any]) -> None:
    """Say what colours (levels) and marks (degradations) mean."""
    by_level = [
        plt.Line2D([], [], marker="o", linestyle="", color=colour, label=f"σ {sigma:g}")
        for sigma, colour in _colours(result).items()
    ]
    by_name = [
        plt.Line2D([], [], marker=mark, linestyle="", color="0.4", label=name)
        for name, mark in _marks(result).items()
    ]
    axes.legend(
        handles=by_level + by_name, fontsize=7, frameon=False, ncols=2, loc="lower left"
    )


def _marks(result: dict[str, Any]) -> dict[str, str]:
    names = dict.fromkeys(point["degradation"] for point in result["points"])
    return dict(zip(names, "osD^vP*XhpH8<>"))


def _colours(result: dict[str, Any]) -> dict[float, Any]:
    levels = result["levels"]
    return dict(zip(levels, sns.color_palette("viridis", len(levels))))


def main() -> None:
    """Draw the figure, a row for each start."""
    figure_parser(__file__, __doc__).parse_args()
    results = all_results_of("worth.similarity_worth")
    set_style()
    figure, panels = plt.subplots(
        len(results),
        3,
        figsize=(13.5, 4.3 * len(results)),
        layout="constrained",
        squeeze=False,
        width_ratios=(1.2, 1.2, 1),
    )
    for row, result in zip(panels, results.values()):
        scatter(row[0], result, "cosine")
        scatter(row[1], result, "latent distance over noise")
        row[0].set_xlabel("gradient cosine with golden, before training")
        row[1].set_xlabel("distance in the latents over the noise")
        row[1].set_xscale("log")
        row[0].set_ylabel(
            f"from {result['start']}, {result['steps']} steps:\n"
            "share of golden clips' gain"
        )
        legend(row[1], result)
        correlations(row[2], result)
    save(figure, "similarity_worth")


if __name__ == "__main__":
    main()
