"""From similarity curves to intervals of sigma: where a class may be used.

Every level is one of three: *use* (the class is as good as golden), *avoid* (it is
not), *test* (the measurement does not say). A band is an interval of *use*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tqd_probe.schedules.interval_sets import LEAST_WIDTH, Band, difference, wide

HALF_A_GAP = 0.5  # a measured level stands for its cell


@dataclass(frozen=True)
class CosineCriterion:
    """When a level may be used: thresholds of the cosine and the norm ratio.

    Attributes:
        cos_min: The cosine must reach this.
        norm_range: The norm ratio must lie in this closed range.
        confidence: Of the intervals.
        delta: The lower confidence bound of the cosine must reach `cos_min` less this;
            0 asks that the bound itself reach `cos_min`.
    """

    cos_min: float = 0.9
    norm_range: tuple[float, float] = (0.5, 2.0)
    confidence: float = 0.95
    delta: float = 0.03


@dataclass(frozen=True)
class LevelCurves:
    """What was measured of a class or degradation; NaN where undefined.

    Attributes:
        levels: Noise levels, rising ``[L]``.
        cosine: Estimates of the cosine ``[L]``.
        cosine_ci: Its confidence intervals ``[L, 2]``.
        norm_ratio: Estimates of the norm ratio ``[L]``.
        norm_ratio_ci: Its confidence intervals ``[L, 2]``.
        resolved: Whether the golden gradient is resolved ``[L]``.
    """

    levels: np.ndarray
    cosine: np.ndarray
    cosine_ci: np.ndarray
    norm_ratio: np.ndarray
    norm_ratio_ci: np.ndarray
    resolved: np.ndarray


@dataclass(frozen=True)
class LevelIntervals:
    """The measured range of sigma in three: disjoint, each rising.

    Attributes:
        use: Where the class is as good as golden: its bands.
        test: Where the measurement does not say.
        avoid: Where the class is not as good as golden.
    """

    use: list[Band]
    test: list[Band]
    avoid: list[Band]


def three_ways(
    curves: LevelCurves, criterion: CosineCriterion, span: Band = (0.0, 1.0)
) -> LevelIntervals:
    """Divide the measured range of sigma into *use*, *test* and *avoid*.

    Args:
        curves: What was measured.
        criterion: The thresholds.
        span: Lowest and highest level of the network.

    Returns:
        The intervals; none of a single level, which bounds no interval.
    """
    use = use_intervals(curves, criterion, span)
    avoid = avoid_intervals(curves, criterion, span)
    whole = measured_range(curves.levels, span)
    return LevelIntervals(use, difference(whole, use, avoid), avoid)


def use_intervals(
    curves: LevelCurves, criterion: CosineCriterion, span: Band = (0.0, 1.0)
) -> list[Band]:
    """Find the intervals of sigma in which a class is as good as golden.

    A level is inside where golden is resolved, the cosine reaches `cos_min`, its lower
    bound `cos_min - delta`, and the norm ratio lies in its range. An edge between a
    level inside and one outside lies where the first of the linearly interpolated
    conditions fails. Beyond the outermost level, and towards a level of which nothing
    is known, an interval reaches half the gap between levels.

    Args:
        curves: What was measured.
        criterion: The thresholds.
        span: Lowest and highest level of the network.

    Returns:
        Disjoint intervals, rising.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(curves.norm_ratio)
    low, high = np.log2(criterion.norm_range)
    margins = np.stack(
        [
            curves.cosine - criterion.cos_min,
            curves.cosine_ci[:, 0] - (criterion.cos_min - criterion.delta),
            ratio - low,
            high - ratio,
        ]
    )
    known = curves.resolved & np.isfinite(margins).all(0)
    inside = known & (np.where(known, margins, -1.0) >= 0).all(0)
    return wide(cut_intervals(curves.levels, margins, known, inside, span))


def avoid_intervals(
    curves: LevelCurves, criterion: CosineCriterion, span: Band = (0.0, 1.0)
) -> list[Band]:
    """Find the intervals of sigma in which a class is not as good as golden.

    A level is inside where golden is resolved and the cosine's upper bound lies below
    `cos_min`; edges are placed as those of `use_intervals`.

    Args:
        curves: What was measured.
        criterion: The thresholds.
        span: Lowest and highest level of the network.

    Returns:
        Disjoint intervals, rising; they meet those of *use* at most in a point.
    """
    # The estimate lies below its upper bound; compared too, *use* is never *avoid*.
    highest = np.maximum(curves.cosine_ci[:, 1], curves.cosine)
    margins = (criterion.cos_min - highest)[None]
    known = curves.resolved & np.isfinite(margins).all(0)
    inside = known & (np.where(known, margins, -1.0) > 0).all(0)
    return wide(cut_intervals(curves.levels, margins, known, inside, span))


def cut_intervals(
    levels: np.ndarray,
    margins: np.ndarray,
    known: np.ndarray,
    inside: np.ndarray,
    span: Band = (0.0, 1.0),
    reach: float = HALF_A_GAP,
) -> list[Band]:
    """Join neighbouring levels that are inside into intervals.

    Args:
        levels: Noise levels, rising ``[L]``.
        margins: By how much each condition holds ``[conditions, L]``.
        known: Whether the margins are defined ``[L]``.
        inside: Which levels are inside ``[L]``.
        span: Lowest and highest level of the network.
        reach: How far an interval reaches from a known level inside towards one that
            is not known, and beyond the outermost level: a share of the gap to the
            neighbouring level; 1 is also up to the end of the span.

    Returns:
        Disjoint intervals, rising; a single level may be one of no width.
    """
    found: list[Band] = []
    index, last = 0, len(levels) - 1
    outer = outer_ends(levels, span, reach)
    while index <= last:
        if not inside[index]:
            index += 1
            continue
        end = index
        while end < last and inside[end + 1]:
            end += 1
        start = outer[0]
        if index > 0:
            start = _edge(levels, margins, known, index, -1, reach)
        stop = outer[1]
        if end < last:
            stop = _edge(levels, margins, known, end, +1, reach)
        found.append((float(start), float(stop)))
        index = end + 1
    return found


def measured_range(levels: np.ndarray, span: Band = (0.0, 1.0)) -> Band:
    """Return the range of sigma that the measured levels stand for.

    Args:
        levels: Noise levels, rising ``[L]``.
        span: Lowest and highest level of the network.

    Returns:
        From half a gap below the lowest level to half a gap above the highest, inside
        the span; a single level stands for itself.
    """
    return outer_ends(levels, span, HALF_A_GAP)


def outer_ends(levels: np.ndarray, span: Band, reach: float) -> Band:
    """Return how far intervals reach beyond the outermost levels.

    Args:
        levels: Noise levels, rising ``[L]``.
        span: Lowest and highest level of the network.
        reach: Share of the gap to the neighbouring level; 1: to the end of the span.

    Returns:
        Lower and upper end.
    """
    if reach >= 1:
        return span
    first, last = float(levels[0]), float(levels[-1])
    if len(levels) > 1:
        first -= reach * float(levels[1] - levels[0])
        last += reach * float(levels[-1] - levels[-2])
    # Rounding leaves no sliver at the end of the span.
    low = span[0] if first < span[0] + LEAST_WIDTH else first
    high = span[1] if last > span[1] - LEAST_WIDTH else last
    return low, high


def _edge(
    levels: np.ndarray,
    margins: np.ndarray,
    known: np.ndarray,
    at: int,
    step: int,
    reach: float,
) -> float:
    """Place the edge between a level inside and its neighbour outside."""
    beyond = at + step
    gap = levels[beyond] - levels[at]
    if not known[beyond]:
        return float(levels[at] + reach * gap)
    here, there = margins[:, at], margins[:, beyond]
    falling = there < 0
    if not known[at] or not falling.any():
        return float(levels[beyond])
    share = np.min(here[falling] / (here[falling] - there[falling]))
    return float(levels[at] + share * gap)


def uncovered_levels(
    levels: Iterable[float], bands: Iterable[list[Band]]
) -> list[float]:
    """List the levels that no class covers.

    Args:
        levels: Noise levels ``[L]``.
        bands: Bands of each class.

    Returns:
        The levels outside all bands.
    """
    every = [band for some in bands for band in some]
    return [float(x) for x in levels if not any(a <= x <= b for a, b in every)]


def band_cdf(bands: list[Band], x: np.ndarray) -> np.ndarray:
    """Return the distribution function of the uniform density on bands.

    Args:
        bands: Disjoint bands, at least one.
        x: Points in [0, 1].

    Returns:
        Probability of sigma up to each place, same shape.
    """
    total = sum(b - a for a, b in bands)
    return np.asarray(sum(np.clip(x - a, 0, b - a) for a, b in bands) / total)


def cell_edges(levels: np.ndarray, span: Band = (0.0, 1.0)) -> np.ndarray:
    """Place the edges of the levels' cells halfway between them.

    Args:
        levels: Noise levels, rising ``[L]``.
        span: Ends of the noise axis.

    Returns:
        Edges ``[L + 1]``.
    """
    return np.concatenate([[span[0]], (levels[1:] + levels[:-1]) / 2, [span[1]]])


def clip_bands(bands: list[Band], low: float, high: float) -> list[Band]:
    """Cut bands at the ends of the range in which a network is used.

    Args:
        bands: Intervals of sigma, rising.
        low: Lowest level, such as the boundary of the expert for high noise.
        high: Highest level.

    Returns:
        The parts of the bands inside.
    """
    cut = [(max(a, low), min(b, high)) for a, b in bands]
    return [(a, b) for a, b in cut if a < b]
