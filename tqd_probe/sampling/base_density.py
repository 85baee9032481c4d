"""The density of sigma before the clip is known: uniform, logit-normal or measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import norm

from tqd_probe.core.noise import shift_sigma, timestep_edges, unshift_sigma
from tqd_probe.schedules.golden_density import density_knots


class Density(Protocol):
    """A density of sigma on [0, 1]."""

    @property
    def kind(self) -> str:
        """``uniform``, ``logit_normal`` or ``measured``."""
        ...

    @property
    def shift(self) -> float:
        """Timestep shift to sigma."""
        ...

    def cdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the probability of a level up to sigma, same shape."""
        ...

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """Return the level below which a share `p` of the levels lies, same shape."""
        ...

    def pdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the density at sigma in (0, 1), same shape."""
        ...


@dataclass(frozen=True)
class BaseDensity:
    """Density of sigma over a training: of u, the variable that it draws.

    sigma is the shifted u (flow matching), or the level of the timestep ``T u`` of a
    family that trains discrete timesteps (CogVideoX draws them uniformly), shifted.

    Attributes:
        kind: ``uniform`` or ``logit_normal`` (Esser et al., 2024), of u.
        mean: Mean of logit(u).
        std: Deviation of logit(u).
        shift: Timestep shift to sigma.
        timesteps: sigma of the family's timesteps, rising ``[T]``; None without.
    """

    kind: Literal["uniform", "logit_normal"] = "uniform"
    mean: float = 0.0
    std: float = 1.0
    shift: float = 1.0
    timesteps: np.ndarray | None = field(default=None, compare=False)

    def to_u(self, sigma: np.ndarray) -> np.ndarray:
        """Return u of levels, same shape."""
        level = unshift_sigma(sigma, self.shift)
        if self.timesteps is None:
            return level
        edges = timestep_edges(self.timesteps)
        return np.interp(level, edges, np.linspace(0, 1, len(edges)))

    def of_u(self, u: np.ndarray) -> np.ndarray:
        """Return the levels of u, same shape."""
        if self.timesteps is not None:
            edges = timestep_edges(self.timesteps)
            u = np.interp(u, np.linspace(0, 1, len(edges)), edges)
        return shift_sigma(u, self.shift)

    def slope(self, sigma: np.ndarray) -> np.ndarray:
        """Return du / dsigma at levels, same shape."""
        s = np.asarray(sigma, dtype=np.float64)
        slope = self.shift / (self.shift - (self.shift - 1) * s) ** 2
        if self.timesteps is None:
            return slope
        edges = timestep_edges(self.timesteps)
        density = np.concatenate([[0.0], 1 / len(self.timesteps) / np.diff(edges), [0]])
        at = np.searchsorted(edges, unshift_sigma(s, self.shift), side="right")
        return slope * density[at]

    def cdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the probability of a level up to sigma, same shape."""
        u = self.to_u(sigma)
        if self.kind == "uniform":
            return np.clip(u, 0, 1)
        return ndtr((logit(u) - self.mean) / self.std)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """Return the level below which a share `p` of the levels lies, same shape."""
        p = np.asarray(p, dtype=np.float64)
        u = p if self.kind == "uniform" else expit(self.mean + self.std * ndtri(p))
        return self.of_u(u)

    def pdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the density at sigma in (0, 1), same shape."""
        slope = self.slope(sigma)
        if self.kind == "uniform":
            return slope
        u = self.to_u(sigma)
        z = (logit(u) - self.mean) / self.std
        with np.errstate(divide="ignore", invalid="ignore"):
            density = norm.pdf(z) / (self.std * u * (1 - u)) * slope
        return np.where((u > 0) & (u < 1), density, 0.0)


class MeasuredDensity:
    """A density of sigma stated at levels, linear between them.

    It is of sigma itself: no timestep shift and no grid of timesteps applies.
    """

    kind = "measured"
    shift = 1.0

    def __init__(self, levels: np.ndarray, values: np.ndarray) -> None:
        """Set the density.

        Args:
            levels: Levels in [0, 1], rising ``[L]``; beyond them it is constant.
            values: The density at them ``[L]``; scaled to integrate to 1.
        """
        self._places, self._at = density_knots(levels, values)
        parts = (self._at[1:] + self._at[:-1]) / 2 * np.diff(self._places)
        total = parts.sum()
        self._at = self._at / total
        self._start = np.concatenate([[0.0], np.cumsum(parts / total)])
        self._slopes = np.diff(self._at) / np.diff(self._places)

    def _part(self, where: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return the part between knots that each value lies in, same shape."""
        part = np.searchsorted(edges, where, side="right") - 1
        return np.clip(part, 0, len(self._slopes) - 1)

    def cdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the probability of a level up to sigma, same shape."""
        s = np.clip(np.asarray(sigma, dtype=np.float64), 0, 1)
        k = self._part(s, self._places)
        x = s - self._places[k]
        return self._start[k] + x * (self._at[k] + self._slopes[k] * x / 2)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """Return the level below which a share `p` of the levels lies, same shape."""
        p = np.clip(np.asarray(p, dtype=np.float64), 0, 1)
        k = self._part(p, self._start)
        rest, at = p - self._start[k], self._at[k]
        # slope x^2 / 2 + at x = rest; this form of the root holds for slope 0, too.
        root = np.sqrt(np.maximum(at**2 + 2 * self._slopes[k] * rest, 0))
        x = 2 * rest / np.maximum(at + root, 1e-300)
        return np.minimum(self._places[k] + x, self._places[k + 1])

    def pdf(self, sigma: np.ndarray) -> np.ndarray:
        """Return the density at sigma in (0, 1), same shape."""
        return np.interp(sigma, self._places, self._at)


class CellDensity:
    """A base density with given shares of cells of sigma.

    Inside a cell levels are spread as the base density spreads them.
    """

    def __init__(self, base: Density, edges: np.ndarray, shares: np.ndarray) -> None:
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
        width = np.diff(self._at)
        # No level is drawn inside a cell that the base density leaves empty.
        times = np.divide(self.shares, width, out=np.zeros_like(width), where=width > 0)
        return self.base.pdf(sigma) * times[cell]
