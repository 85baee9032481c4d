"""Confidence intervals of the edges of bands.

A band claims only levels where the *lower* bound of the cosine reaches the threshold.
By the *upper* bound more levels are possible; beyond them the intervals exclude that a
class is golden. The place where the cosine itself crosses the threshold lies between
the two (a confidence set turned into one for the crossing; Fieller, 1954), and so does
that of the norm ratio. Levels that are not resolved exclude nothing, so an edge beside
one may lie anywhere up to the next level that does. Confidence is that of each level,
or of all together with ``--family-wise``. `analyses/intervals/edge_coverage.py` counts
how often the intervals hold the edge.
"""

from __future__ import annotations

import numpy as np

from tqd_probe.schedules.bands import Band, CosineCriterion, cut_bands

EdgePair = tuple[Band, Band]
LEAST_RATIO = 2.0**-40  # a ratio whose interval reaches 0 has no logarithm


def sure_bands(
    levels: np.ndarray,
    cosine_ci: np.ndarray,
    norm_ratio_ci: np.ndarray,
    resolved: np.ndarray,
    criterion: CosineCriterion,
    span: Band = (0.0, 1.0),
) -> list[Band]:
    """Find where intervals show a class to be as good as golden, norm ratio included.

    Args:
        levels: Noise levels, rising ``[L]``.
        cosine_ci: Intervals of the cosine ``[L, 2]``; NaN if undefined.
        norm_ratio_ci: Intervals of the norm ratio ``[L, 2]``; NaN if undefined.
        resolved: Whether the golden gradient is resolved ``[L]``.
        criterion: The thresholds.
        span: Ends of the noise axis.

    Returns:
        Disjoint intervals of sigma, rising; inside the bands, which ask only the
        estimate of the norm ratio to lie in its range.
    """
    (low, _), (least, most) = cosine_ci.T, _logarithm(norm_ratio_ci)
    margins, known = _margins(low, least, most, resolved, criterion)
    inside = known & (margins >= 0).all(0)
    return cut_bands(levels, margins, known, inside, span)


def possible_bands(
    levels: np.ndarray,
    cosine_ci: np.ndarray,
    norm_ratio_ci: np.ndarray,
    resolved: np.ndarray,
    criterion: CosineCriterion,
    span: Band = (0.0, 1.0),
) -> list[Band]:
    """Find where intervals do not exclude that a class is as good as golden.

    Args:
        levels: Noise levels, rising ``[L]``.
        cosine_ci: Intervals of the cosine ``[L, 2]``; NaN if undefined.
        norm_ratio_ci: Intervals of the norm ratio ``[L, 2]``; NaN if undefined.
        resolved: Whether the golden gradient is resolved ``[L]``; nothing is excluded
            at other levels.
        criterion: The thresholds.
        span: Ends of the noise axis.

    Returns:
        Disjoint intervals of sigma, rising; they contain the bands.
    """
    (_, high), (least, most) = cosine_ci.T, _logarithm(norm_ratio_ci)
    margins, known = _margins(high, most, least, resolved, criterion)
    outside = known & (margins < 0).any(0)
    return cut_bands(levels, margins, known, ~outside, span)


def edge_intervals(
    bands: list[Band], sure: list[Band], possible: list[Band]
) -> list[EdgePair]:
    """Give both edges of every band an interval.

    Args:
        bands: The bands, rising.
        sure: What `sure_bands` found.
        possible: What `possible_bands` found.

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
        around = [(a, b) for a, b in possible if a <= low and b >= high]
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
