"""Confidence intervals of the edges of bands.

The place where the cosine crosses the threshold lies between two others: where its
*lower* bound does, up to which the class is surely as good as golden, and where its
*upper* bound does, beyond which it surely is not (a confidence set turned into one for
the crossing; Fieller, 1954); and so for the norm ratio. Levels that are not resolved
exclude nothing, so an edge beside one may lie anywhere up to the next level that does;
beyond the outermost level nothing was measured, so an outer edge may lie anywhere from
that level to the end of the network's range. Confidence is that of each level, or of
all together with ``--family-wise``. `analyses/intervals/edge_coverage.py` counts how
often the intervals hold the edge.
"""

from __future__ import annotations

import numpy as np

from tqd_probe.schedules.bands import CosineCriterion, LevelCurves, cut_intervals
from tqd_probe.schedules.interval_sets import LEAST_WIDTH, Band

EdgePair = tuple[Band, Band]
LEAST_RATIO = 2.0**-40  # a ratio whose interval reaches 0 has no logarithm


def sure_intervals(
    curves: LevelCurves, criterion: CosineCriterion, span: Band = (0.0, 1.0)
) -> list[Band]:
    """Find where intervals show a class to be as good as golden, norm ratio included.

    Args:
        curves: What was measured.
        criterion: The thresholds.
        span: Lowest and highest level of the network.

    Returns:
        Disjoint intervals of sigma, rising, single levels included; inside the bands,
        which allow the lower bound of the cosine `delta` and ask only the estimate of
        the norm ratio to lie in its range. They end at measured levels.
    """
    low, (least, most) = curves.cosine_ci[:, 0], _logarithm(curves.norm_ratio_ci)
    margins, known = _margins(low, least, most, curves.resolved, criterion)
    inside = known & (margins >= 0).all(0)
    return cut_intervals(curves.levels, margins, known, inside, span, reach=0.0)


def possible_intervals(
    curves: LevelCurves, criterion: CosineCriterion, span: Band = (0.0, 1.0)
) -> list[Band]:
    """Find where intervals do not exclude that a class is as good as golden.

    Args:
        curves: What was measured; nothing is excluded where golden is not resolved.
        criterion: The thresholds.
        span: Lowest and highest level of the network.

    Returns:
        Disjoint intervals of sigma, rising; they contain the bands.
    """
    high, (least, most) = curves.cosine_ci[:, 1], _logarithm(curves.norm_ratio_ci)
    margins, known = _margins(high, most, least, curves.resolved, criterion)
    outside = known & (margins < 0).any(0)
    return cut_intervals(curves.levels, margins, known, ~outside, span, reach=1.0)


def edge_intervals(
    bands: list[Band], sure: list[Band], possible: list[Band]
) -> list[EdgePair]:
    """Give both edges of every band an interval.

    Args:
        bands: The bands, rising.
        sure: What `sure_intervals` found.
        possible: What `possible_intervals` found.

    Returns:
        Per band the intervals of its lower and its upper edge. They hold the edge; they
        end at a neighbouring band, and a band that is nowhere sure has edges anywhere
        in it.
    """
    cores = []
    for low, high in bands:
        some = [(a, b) for a, b in sure if a < high and b > low]
        starts = max(low, some[0][0]) if some else high
        ends = min(high, some[-1][1]) if some else low
        cores.append((starts, ends))
    found = []
    for index, (low, high) in enumerate(bands):
        around = [
            (min(a, low), max(b, high))
            for a, b in possible
            if a <= low + LEAST_WIDTH and b >= high - LEAST_WIDTH
        ]
        first, last = around[0] if around else (low, high)
        if index > 0:
            first = min(low, max(first, bands[index - 1][0], cores[index - 1][1]))
        if index + 1 < len(bands):
            last = min(last, bands[index + 1][0])
        starts, ends = cores[index]
        found.append(((first, starts), (ends, last)))
    return found


def _logarithm(ratios: np.ndarray) -> np.ndarray:
    """Return the base 2 logarithm of both ends of intervals ``[2, L]``."""
    return np.log2(np.maximum(ratios, LEAST_RATIO)).T


def _margins(
    cosine: np.ndarray,
    against_low: np.ndarray,
    against_high: np.ndarray,
    resolved: np.ndarray,
    criterion: CosineCriterion,
) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the conditions hold ``[3, L]``, and where that is known."""
    low, high = np.log2(criterion.norm_range)
    margins = np.stack(
        [cosine - criterion.cos_min, against_low - low, high - against_high]
    )
    return margins, resolved & np.isfinite(margins).all(0)
