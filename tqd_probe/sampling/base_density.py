"""The density of sigma before the clip is known: uniform or logit-normal, shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import norm

from tqd_probe.core.noise import shift_sigma, unshift_sigma


@dataclass(frozen=True)
class BaseDensity:
    """Density of sigma over a training: uniform or logit-normal, shifted.

    Attributes:
        kind: ``uniform`` or ``logit_normal`` (Esser et al., 2024), of u.
        mean: Mean of logit(u).
        std: Deviation of logit(u).
        shift: Timestep shift from u to sigma.
    """

    kind: Literal["uniform", "logit_normal"] = "uniform"
    mean: float = 0.0
    std: float = 1.0
    shift: float = 1.0

    def cdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the probability of a level up to sigma, same shape."""
        u = unshift_sigma(sigma, self.shift)
        if self.kind == "uniform":
            return np.clip(u, 0, 1)
        return ndtr((logit(u) - self.mean) / self.std)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """Return the level below which a share `p` of the levels lies, same shape."""
        p = np.asarray(p, dtype=np.float64)
        u = p if self.kind == "uniform" else expit(self.mean + self.std * ndtri(p))
        return shift_sigma(u, self.shift)

    def pdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the density at sigma in (0, 1), same shape."""
        s = np.asarray(sigma, dtype=np.float64)
        slope = self.shift / (self.shift - (self.shift - 1) * s) ** 2  # du / dsigma
        if self.kind == "uniform":
            return slope
        u = unshift_sigma(s, self.shift)
        z = (logit(u) - self.mean) / self.std
        return norm.pdf(z) / (self.std * u * (1 - u)) * slope


class CellDensity:
    """A base density with given shares of cells of sigma.

    Inside a cell levels are spread as the base density spreads them.
    """

    def __init__(
        self, base: BaseDensity, edges: np.ndarray, shares: np.ndarray
    ) -> None:
        """Set the shares.

        Args:
            base: The density inside cells.
            edges: Edges of the cells, from 0 to 1 ``[L + 1]``.
            shares: Share of each cell, summing to 1 ``[L]``.
        """
        self.base, self.edges, self.shares = base, edges, shares
        self.kind, self.shift = base.kind, base.shift
        self._start = np.concatenate([[0.0], np.cumsum(shares)])
        self._at = base.cdf(edges)

    def cdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the probability of a level up to sigma, same shape."""
        return np.interp(self.base.cdf(sigma), self._at, self._start)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """Return the level below which a share `p` of the levels lies, same shape."""
        p = np.asarray(p, dtype=np.float64)
        cell = np.searchsorted(self._start, p, side="right") - 1
        cell = np.clip(cell, 0, len(self.shares) - 1)
        inside = (p - self._start[cell]) / np.maximum(self.shares[cell], 1e-300)
        width = np.diff(self._at)[cell]
        return self.base.quantile(self._at[cell] + np.clip(inside, 0, 1) * width)

    def pdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the density at sigma in (0, 1), same shape."""
        cell = np.searchsorted(self.edges, sigma, side="right") - 1
        cell = np.clip(cell, 0, len(self.shares) - 1)
        return self.base.pdf(sigma) * (self.shares / np.diff(self._at))[cell]
