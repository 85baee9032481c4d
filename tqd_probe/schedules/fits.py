"""Densities that other trainers know, fitted to bands or to weights over sigma.

A Beta distribution of sigma, an offset on the logit of sigma, and hard bands, each with
its Kolmogorov-Smirnov distance to what it is fitted to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from tqd_probe.schedules.bands import Band, band_cdf, cell_edges

Cdf = Callable[[np.ndarray], np.ndarray]


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
