"""From similarity curves to bands of noise levels, and densities fitted to bands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

Band = tuple[float, float]
Cdf = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class CosineCriterion:
    """When a level belongs to a band: the paper's notion, with its error.

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
        known: Whether the margins mean anything ``[L]``. Of two neighbours, one inside
            and one not, an unknown one takes the whole way between them to its side.
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


def uncovered(levels: np.ndarray, bands: list[list[Band]]) -> list[float]:
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
        x: Places in [0, 1].

    Returns:
        Probability of sigma up to each place, same shape.
    """
    total = sum(b - a for a, b in bands)
    return np.asarray(sum(np.clip(x - a, 0, b - a) for a, b in bands) / total)


def fit_beta(bands: list[Band]) -> dict[str, float] | None:
    """Fit a Beta distribution of sigma to bands, by Kolmogorov-Smirnov distance.

    Args:
        bands: Disjoint bands.

    Returns:
        ``alpha``, ``beta`` and the distance ``ks``; None without bands.
    """
    return _fit_beta(lambda x: band_cdf(bands, x)) if bands else None


def _fit_beta(cdf: Cdf) -> dict[str, float]:
    """Fit a Beta distribution to a distribution function on [0, 1]."""
    grid = np.linspace(0, 1, 1001)
    wanted = cdf(grid)

    def distance(parameters: np.ndarray) -> float:
        found = beta_distribution.cdf(grid, *np.exp(parameters))
        return float(np.abs(found - wanted).max())

    density = np.diff(wanted)
    middle = (grid[1:] + grid[:-1]) / 2
    mean = float(density @ middle)
    spread = max(float(density @ (middle - mean) ** 2), 1e-6)
    total = max(mean * (1 - mean) / spread - 1, 0.1)
    start = np.log([mean * total, (1 - mean) * total])
    best = minimize(distance, start, method="Nelder-Mead", options={"maxiter": 400})
    alpha, beta = np.exp(best.x)
    return {"alpha": float(alpha), "beta": float(beta), "ks": float(best.fun)}


def fit_logit_offset(bands: list[Band]) -> dict[str, float] | None:
    """Fit the mean of a logit-normal of unit width, the rule of SANA-Video 2.0.

    Args:
        bands: Disjoint bands.

    Returns:
        ``value`` (the offset on the logit of sigma) and the distance ``ks``; None
        without bands.
    """
    return _fit_logit_offset(lambda x: band_cdf(bands, x)) if bands else None


def _fit_logit_offset(cdf: Cdf) -> dict[str, float]:
    """Fit the mean of a logit-normal of unit width to a distribution function."""
    grid = np.linspace(0, 1, 1001)[1:-1]
    wanted, logit = cdf(grid), np.log(grid / (1 - grid))

    def distance(offset: np.ndarray) -> float:
        return float(np.abs(norm.cdf(logit - offset[0]) - wanted).max())

    starts = np.linspace(-4, 4, 33)
    start = min(starts, key=lambda value: distance(np.array([value])))
    best = minimize(distance, [start], method="Nelder-Mead")
    return {"value": float(best.x[0]), "ks": float(best.fun)}


def hard_bands(
    levels: np.ndarray, density: np.ndarray, span: Band = (0.0, 1.0)
) -> list[Band]:
    """Turn a density over levels into the bands whose uniform density is nearest.

    Tries every threshold on the density; the bands are the cells of the levels that
    reach it. Nearest is by Kolmogorov-Smirnov distance.

    Args:
        levels: Noise levels, rising ``[L]``.
        density: Density of sigma at the levels, any scale ``[L]``.
        span: Ends of the noise axis.

    Returns:
        Disjoint bands, rising; none where the density is 0.
    """
    edges = cell_edges(levels, span)
    best: tuple[float, list[Band]] = (2.0, [])
    for threshold in np.unique(density[density > 0]):
        bands: list[Band] = []
        for low, high, value in zip(edges[:-1], edges[1:], density):
            if value < threshold:
                continue
            if bands and bands[-1][1] == low:
                bands[-1] = (bands[-1][0], float(high))
            else:
                bands.append((float(low), float(high)))
        gap = _distance(partial(band_cdf, bands), levels, density, span)
        best = min(best, (gap, bands))
    return best[1]


def fit_density(
    levels: np.ndarray, density: np.ndarray, span: Band = (0.0, 1.0)
) -> dict[str, Any] | None:
    """Fit a Beta, a logit offset and hard bands to measured weights over sigma.

    Args:
        levels: Noise levels, rising ``[L]``.
        density: Weight of a class at the levels, relative to the base density ``[L]``.
        span: Ends of the noise axis.

    Returns:
        ``beta``, ``logit_offset`` and ``bands`` (with ``intervals``), each with its
        Kolmogorov-Smirnov distance ``ks`` to the weights; None for a class without.
    """
    if not (density > 0).any():
        return None
    wanted = _cell_cdf(levels, density, span)
    bands = hard_bands(levels, density, span)
    gap = _distance(partial(band_cdf, bands), levels, density, span)
    return {
        "beta": _fit_beta(wanted),
        "logit_offset": _fit_logit_offset(wanted),
        "bands": {"intervals": bands, "ks": gap},
    }


def cell_edges(levels: np.ndarray, span: Band = (0.0, 1.0)) -> np.ndarray:
    """Place the edges of the levels' cells halfway between them.

    Args:
        levels: Noise levels, rising ``[L]``.
        span: Ends of the noise axis.

    Returns:
        Edges ``[L + 1]``.
    """
    return np.concatenate([[span[0]], (levels[1:] + levels[:-1]) / 2, [span[1]]])


def _cell_cdf(levels: np.ndarray, density: np.ndarray, span: Band) -> Cdf:
    """Return the distribution function of a density constant on cells."""
    edges = cell_edges(levels, span)
    mass = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    return lambda x: np.interp(x, edges, mass / mass[-1])


def _distance(found: Cdf, levels: np.ndarray, density: np.ndarray, span: Band) -> float:
    """Return the Kolmogorov-Smirnov distance to a density constant on cells."""
    grid = np.union1d(np.linspace(0, 1, 1001), cell_edges(levels, span))
    wanted = _cell_cdf(levels, density, span)(grid)
    return float(np.abs(np.asarray(found(grid)) - wanted).max())


def clip_bands(bands: list[Band], low: float, high: float) -> list[Band]:
    """Cut bands at the ends of the range in which a network is used.

    Args:
        bands: Intervals of sigma, rising.
        low: Lowest level, such as the boundary of the expert for high noise.
        high: Highest level.

    Returns:
        What of the bands lies inside.
    """
    cut = [(max(a, low), min(b, high)) for a, b in bands]
    return [(a, b) for a, b in cut if a < b]
