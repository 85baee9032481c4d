"""The figure of a verification: differences of golden loss, overall and by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from tqd_probe.plots.palette import SERIES
from tqd_probe.statistics.paired_difference import Difference


def verification_figure(
    overall: Mapping[str, Difference],
    by_bucket: Mapping[str, Sequence[Difference]],
    sigma_edges: Sequence[float],
    baseline: str,
) -> Figure:
    """Draw the differences over all levels and in each bucket of sigma.

    Args:
        overall: Difference from the baseline by sampler.
        by_bucket: The same in each bucket.
        sigma_edges: Edges of the buckets, rising.
        baseline: Label of the sampler others are compared with.

    Returns:
        The figure; bars are the intervals.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    colours = sns.color_palette(SERIES, len(overall))
    figure = Figure(figsize=(9.5, 3.4))
    left, right = figure.subplots(1, 2, width_ratios=[1, 2])
    edges = np.array(sigma_edges)
    middles = (edges[1:] + edges[:-1]) / 2
    aside = 0.01 * (edges[-1] - edges[0])  # so that the samplers' bars do not overlap
    for row, (label, gap) in enumerate(overall.items()):
        bars = [[gap.mean - gap.low], [gap.high - gap.mean]]
        left.errorbar(gap.mean, -row, xerr=bars, marker="o", ms=4, color=colours[row])
        means = np.array([each.mean for each in by_bucket[label]])
        ends = np.array([[each.low, each.high] for each in by_bucket[label]]).T
        right.errorbar(
            middles + aside * row,
            means,
            np.abs(ends - means),
            marker="o",
            ms=3,
            lw=1.2,
            color=colours[row],
            label=label,
        )
    left.axvline(0, color="0.6", lw=0.8)
    right.axhline(0, color="0.6", lw=0.8)
    left.set_yticks([-row for row in range(len(overall))])
    left.set_yticklabels(list(overall))
    left.set_ylim(-len(overall) + 0.5, 0.5)
    left.set(xlabel=f"golden loss against {baseline}")
    right.set(
        xlabel="noise level σ",
        ylabel="difference in the bucket",
        xlim=(edges[0], edges[-1]),
    )
    right.legend(fontsize=7, frameon=False)
    sns.despine(figure)
    figure.tight_layout()
    return figure
