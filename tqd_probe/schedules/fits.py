"""Densities that other trainers know, fitted to bands or to weights over sigma.

A Beta distribution, an offset on the logit, and hard bands, each with its
Kolmogorov-Smirnov distance to what it is fitted to. Samplers draw u and shift it to
sigma, so the two distributions are those of u: what they are fitted to is the base
density of u inside the bands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from tqd_probe.core.noise import shift_sigma, unshift_sigma
from tqd_probe.schedules.bands import Band, band_cdf, cell_edges

Cdf = Callable[[np.ndarray], np.ndarray]
STEPS = 1000  # of the grids that distances are taken on


def uniform_cdf(u: np.ndarray) -> np.ndarray:
    """Return the distribution function of the uniform density on [0, 1].

    Args:
        u: Points.

    Returns:
        Probabilities, same shape.
    """
    return np.clip(u, 0, 1)


def fit_beta(
    bands: list[Band], shift: float = 1.0, base: Cdf = uniform_cdf
) -> dict[str, float] | None:
    """Fit a Beta distribution of u to bands of sigma, by Kolmogorov-Smirnov distance.

    Args:
        bands: Disjoint bands of sigma.
        shift: Timestep shift from u to sigma.
        base: Distribution function of u before the clip is known.

    Returns:
        ``alpha``, ``beta``, ``shift`` and the distance ``ks``; None without bands.
    """
    found = _target_of_bands(bands, shift, base)
    return None if found is None else _fit_beta(*found) | {"shift": shift}


def fit_logit_offset(
    bands: list[Band], shift: float = 1.0, base: Cdf = uniform_cdf
) -> dict[str, float] | None:
    """Fit the mean of a logit-normal of unit width, the rule of SANA-Video 2.0.

    Args:
        bands: Disjoint bands of sigma.
        shift: Timestep shift from u to sigma.
        base: Distribution function of u before the clip is known.

    Returns:
        ``value`` (the offset on the logit of u), ``shift`` and the distance ``ks``;
        None without bands.
    """
    found = _target_of_bands(bands, shift, base)
    return None if found is None else _fit_logit_offset(*found) | {"shift": shift}


def _target_of_bands(
    bands: list[Band], shift: float, base: Cdf
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a grid of u and the distribution function of the base inside bands."""
    if not bands:
        return None
    edges = unshift_sigma(np.array(bands), shift)
    at = base(edges)
    inside = [(float(a), float(b)) for a, b in at if b > a]
    if not inside:  # where the base density has next to nothing
        inside, base = [(float(a), float(b)) for a, b in edges], uniform_cdf
    return _tabled(lambda u: band_cdf(inside, base(u)), edges.ravel())


def _tabled(cdf: Cdf, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Table a distribution function where it rises, however narrow that is."""
    even = np.union1d(np.linspace(0, 1, STEPS + 1), corners)
    shares = np.arange(1, STEPS // 2) / (STEPS // 2)
    grid = np.union1d(even, np.interp(shares, cdf(even), even))
    return grid, np.asarray(cdf(grid))


def _fit_beta(grid: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Fit a Beta distribution to a tabled distribution function on [0, 1]."""

    def distance(parameters: np.ndarray) -> float:
        found = beta_distribution.cdf(grid, *np.exp(parameters))
        return float(np.abs(found - wanted).max())

    density = np.diff(wanted)
    middle = (grid[1:] + grid[:-1]) / 2
    mean = float(density @ middle)
    width = np.diff(grid)  # mass is even between places
    spread = max(float(density @ ((middle - mean) ** 2 + width**2 / 12)), 1e-12)
    total = max(mean * (1 - mean) / spread - 1, 0.1)
    start = np.log([mean * total, (1 - mean) * total])
    best = minimize(distance, start, method="Nelder-Mead", options={"maxiter": 400})
    alpha, beta = np.exp(best.x)
    return {"alpha": float(alpha), "beta": float(beta), "ks": float(best.fun)}


def _fit_logit_offset(grid: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Fit the mean of a logit-normal of unit width to a distribution function."""
    inside = (grid > 0) & (grid < 1)
    grid, wanted = grid[inside], wanted[inside]
    logit = np.log(grid / (1 - grid))

    def distance(offset: np.ndarray) -> float:
        return float(np.abs(norm.cdf(logit - offset[0]) - wanted).max())

    starts = np.linspace(-10, 10, 81)
    start = min(starts, key=lambda value: distance(np.array([value])))
    best = minimize(distance, [start], method="Nelder-Mead")
    return {"value": float(best.x[0]), "ks": float(best.fun)}


def hard_bands(
    levels: np.ndarray,
    density: np.ndarray,
    span: Band = (0.0, 1.0),
    shift: float = 1.0,
) -> list[Band]:
    """Turn a density over levels into the bands that come nearest to it.

    Tries every threshold on the density; the bands are the cells of the levels that
    reach it, with a density uniform in u. Nearest is by Kolmogorov-Smirnov distance.

    Args:
        levels: Noise levels, rising ``[L]``.
        density: Density at the levels relative to uniform u, any scale ``[L]``.
        span: Ends of the noise axis.
        shift: Timestep shift from u to sigma.

    Returns:
        Disjoint bands of sigma, rising; none where the density is 0.
    """
    edges, cdf = _cells(levels, density, span, shift)
    bands, _ = _hard_bands(edges, density, cdf)
    return [_shifted(band, span, shift) for band in bands]


def _hard_bands(
    edges: np.ndarray, density: np.ndarray, cdf: Cdf
) -> tuple[list[Band], float]:
    """Return the nearest bands of u, and their distance."""
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
        # Both are linear between edges of cells: the largest gap is at one of them.
        gap = float(np.abs(partial(band_cdf, bands)(edges) - cdf(edges)).max())
        best = min(best, (gap, bands))
    return best[1], best[0]


def fit_density(
    levels: np.ndarray,
    density: np.ndarray,
    span: Band = (0.0, 1.0),
    shift: float = 1.0,
) -> dict[str, Any] | None:
    """Fit a Beta, a logit offset and hard bands to measured weights over sigma.

    Args:
        levels: Noise levels, rising ``[L]``.
        density: Weight of a class at the levels, relative to uniform u ``[L]``.
        span: Ends of the noise axis.
        shift: Timestep shift from u to sigma.

    Returns:
        ``beta``, ``logit_offset`` (of u) and ``bands`` (with ``intervals`` of sigma),
        each with its Kolmogorov-Smirnov distance ``ks`` to the weights; None for a
        class without.
    """
    if not (density > 0).any():
        return None
    edges, cdf = _cells(levels, density, span, shift)
    target = _tabled(cdf, edges)
    bands, gap = _hard_bands(edges, density, cdf)
    return {
        "beta": _fit_beta(*target) | {"shift": shift},
        "logit_offset": _fit_logit_offset(*target) | {"shift": shift},
        "bands": {
            "intervals": [_shifted(band, span, shift) for band in bands],
            "ks": gap,
        },
    }


def _cells(
    levels: np.ndarray, density: np.ndarray, span: Band, shift: float
) -> tuple[np.ndarray, Cdf]:
    """Return edges of cells of u, and the cdf of a density constant on them."""
    low, high = unshift_sigma(np.array(span), shift)
    edges = cell_edges(unshift_sigma(levels, shift), (float(low), float(high)))
    mass = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    total = mass[-1] or 1.0
    return edges, lambda x: np.interp(x, edges, mass / total)


def _shifted(band: Band, span: Band, shift: float) -> Band:
    """Bring a band of u to sigma; rounding does not carry it beyond the span."""
    low, high = np.clip(shift_sigma(np.array(band), shift), *span)
    return float(low), float(high)
