"""From similarity curves to bands: intervals of sigma in which a class may be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Band = tuple[float, float]


@dataclass(frozen=True)
class CosineCriterion:
    """When a level belongs to a band: thresholds of the cosine and the norm ratio.

    Attributes:
        cos_min: The lower confidence bound of the cosine must reach this.
        norm_range: The norm ratio must lie in this closed range.
        confidence: Of the intervals.
    """

    cos_min: float = 0.9
    norm_range: tuple[float, float] = (0.5, 2.0)
    confidence: float = 0.95


def cosine_bands(
    levels: np.ndarray,
    cosine_low: np.ndarray,
    norm_ratio: np.ndarray,
    resolved: np.ndarray,
    criterion: CosineCriterion,
    span: Band = (0.0, 1.0),
) -> list[Band]:
    """Find the intervals of sigma in which a class is as good as golden.

    An edge between a level inside and one outside lies where the first of the
    linearly interpolated conditions fails. No band reaches beyond a level that is
    resolved; where the outermost level is inside, the band goes to the end of the
    span.

    Args:
        levels: Noise levels, rising ``[L]``.
        cosine_low: Lower confidence bounds of the cosine ``[L]``; NaN is outside.
        norm_ratio: Norm ratios ``[L]``; NaN is outside.
        resolved: Whether the golden gradient is resolved ``[L]``.
        criterion: The thresholds.
        span: Ends of the noise axis.

    Returns:
        Disjoint bands, rising.
    """
    ratio = np.log2(norm_ratio)
    low, high = np.log2(criterion.norm_range)
    margins = np.stack([cosine_low - criterion.cos_min, ratio - low, high - ratio])
    known = resolved & np.isfinite(margins).all(0)
    inside = known & (np.where(known, margins, -1.0) >= 0).all(0)
    return cut_bands(levels, margins, known, inside, span)


def cut_bands(
    levels: np.ndarray,
    margins: np.ndarray,
    known: np.ndarray,
    inside: np.ndarray,
    span: Band = (0.0, 1.0),
) -> list[Band]:
    """Join neighbouring levels that are inside into intervals.

    Args:
        levels: Noise levels, rising ``[L]``.
        margins: By how much each condition holds ``[conditions, L]``.
        known: Whether the margins are defined ``[L]``. Between a level inside and one
            outside, the edge lies at the known one if the other is unknown.
        inside: Which levels are inside ``[L]``.
        span: Ends of the noise axis.

    Returns:
        Disjoint intervals, rising.
    """
    bands: list[Band] = []
    index, last = 0, len(levels) - 1
    while index <= last:
        if not inside[index]:
            index += 1
            continue
        end = index
        while end < last and inside[end + 1]:
            end += 1
        start_edge = span[0] if index == 0 else _edge(levels, margins, known, index, -1)
        end_edge = span[1] if end == last else _edge(levels, margins, known, end, +1)
        bands.append((float(start_edge), float(end_edge)))
        index = end + 1
    return bands


def _edge(
    levels: np.ndarray, margins: np.ndarray, known: np.ndarray, at: int, step: int
) -> float:
    """Place the edge between a level inside and its neighbour outside."""
    beyond = at + step
    if not known[beyond]:
        return float(levels[at])
    if not known[at]:
        return float(levels[beyond])
    here, there = margins[:, at], margins[:, beyond]
    falling = there < 0
    share = np.min(here[falling] / (here[falling] - there[falling]))
    return float(levels[at] + share * (levels[beyond] - levels[at]))


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
