"""Distributions of sigma in [0, 1] as trainers compose them: shifted, cut, clamped.

A distribution is a continuous part, given by its distribution function, and levels of
positive probability: those of a grid that a trainer picks from, or an end at which it
clamps. Every operation acts on the two parts exactly, so that distances between
distributions are exact up to the grid on which the continuous parts are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betainc, logit, ndtr

Cdf = Callable[[np.ndarray], np.ndarray]
Intervals = Sequence[tuple[float, float]]

COMPARED = np.linspace(0.0, 1.0, 5001)  # where continuous parts are compared
COARSE = COMPARED[::5]  # the same in a search
ATOM = 0.01  # least probability of a level that is more than a point of a grid
FEW = 20  # levels that are no grid


def _none(sigma: np.ndarray) -> np.ndarray:
    return np.zeros_like(np.asarray(sigma, dtype=float))


@dataclass(frozen=True)
class LevelDistribution:
    """A distribution of sigma.

    Attributes:
        continuous: Probability of the continuous part up to sigma, same shape.
        points: Levels of positive probability, rising ``[P]``.
        masses: Their probabilities ``[P]``.
    """

    continuous: Cdf = _none
    points: np.ndarray = field(default_factory=lambda: np.empty(0))
    masses: np.ndarray = field(default_factory=lambda: np.empty(0))

    def cdf(self, sigma: np.ndarray, side: str = "right") -> np.ndarray:
        """Return the probability of a level up to sigma, same shape.

        Args:
            sigma: Levels in [0, 1].
            side: ``right`` counts sigma itself, ``left`` does not.
        """
        sigma = np.asarray(sigma, dtype=float)
        start = np.concatenate([[0.0], np.cumsum(self.masses)])
        below = np.searchsorted(self.points, sigma, side=side)  # type: ignore[call-overload]
        return self.continuous(sigma) + start[below]

    def mass(self, intervals: Intervals) -> float:
        """Return the probability of closed intervals that do not overlap.

        Args:
            intervals: Ends in sigma.

        Returns:
            A probability.
        """
        ends = np.array(intervals, dtype=float).reshape(-1, 2)
        return float((self.cdf(ends[:, 1]) - self.cdf(ends[:, 0], "left")).sum())

    def mapped(self, forward: Cdf, inverse: Cdf) -> LevelDistribution:
        """Return the distribution of a rising function of the level.

        Args:
            forward: The function, on [0, 1].
            inverse: Its inverse, clipped to [0, 1].

        Returns:
            The distribution.
        """
        return LevelDistribution(
            lambda sigma: self.continuous(inverse(np.asarray(sigma, dtype=float))),
            forward(self.points),
            self.masses,
        )

    def shifted(self, shift: float) -> LevelDistribution:
        """Return the distribution after a timestep shift, ``s u / (1 + (s - 1) u)``."""
        if shift == 1.0:
            return self
        # Sums of positive terms: nothing cancels, however large or small the shift is.
        return self.mapped(
            lambda u: shift * u / (shift * u + (1 - u)),
            lambda sigma: sigma / (sigma + shift * (1 - sigma)),
        )

    def rescaled(self, low: float, high: float) -> LevelDistribution:
        """Return the distribution squeezed from [0, 1] into [low, high]."""
        width = high - low
        if width <= 0:
            return point(low)
        return self.mapped(
            lambda u: low + width * u,
            lambda sigma: np.clip((sigma - low) / width, 0, 1),
        )

    def reversed(self) -> LevelDistribution:
        """Return the distribution of one minus the level."""
        total = float(self.continuous(np.array(1.0)))
        return LevelDistribution(
            lambda sigma: total - self.continuous(1 - np.asarray(sigma, dtype=float)),
            1 - self.points[::-1],
            self.masses[::-1],
        )

    def restricted(self, intervals: Intervals) -> LevelDistribution:
        """Return the distribution of levels drawn again until they lie in intervals.

        Args:
            intervals: Closed intervals that do not overlap, of positive probability.

        Returns:
            The conditional distribution.

        Raises:
            ValueError: If the intervals have no probability.
        """
        total = self.mass(intervals)
        if total <= 0:
            raise ValueError(f"no level is ever drawn in {list(intervals)}")
        inside = np.zeros(len(self.points), dtype=bool)
        for low, high in intervals:
            inside |= (self.points >= low) & (self.points <= high)

        def continuous(sigma: np.ndarray) -> np.ndarray:
            found = _none(sigma)
            for low, high in intervals:
                start = self.continuous(np.array(low, dtype=float))
                found = found + self.continuous(np.clip(sigma, low, high)) - start
            return found / total

        return LevelDistribution(
            continuous, self.points[inside], self.masses[inside] / total
        )

    def clamped(self, low: float, high: float) -> LevelDistribution:
        """Return the distribution with levels outside moved to the nearer end."""
        if (low, high) == (0.0, 1.0):
            return self
        ends = np.array([low, high], dtype=float)
        start, stop = self.continuous(ends)
        below, above = self.cdf(ends[:1])[0], 1 - self.cdf(ends[1:], "left")[0]
        kept = (self.points > low) & (self.points < high)
        points = np.concatenate([[low], self.points[kept], [high]])
        masses = np.concatenate([[below], self.masses[kept], [above]])
        some = masses > 1e-15
        return LevelDistribution(
            lambda sigma: (
                self.continuous(np.clip(sigma, low, high)) - start
                if stop > start
                else _none(sigma)
            ),
            points[some],
            masses[some],
        )

    def picked(self, levels: np.ndarray) -> LevelDistribution:
        """Return the distribution of ``levels[floor(N u)]`` for levels ``[N]``."""
        edges = np.linspace(0.0, 1.0, len(levels) + 1)
        masses = np.diff(np.concatenate([[0.0], self.cdf(edges[1:-1], "left"), [1.0]]))
        return weighted(levels, masses)

    def _stands_out(self) -> np.ndarray:
        """Return which points are more than points of a fine grid ``[P]``."""
        if len(self.points) < FEW:
            return np.ones(len(self.points), dtype=bool)
        return self.masses >= max(ATOM, 5 * float(np.median(self.masses)))

    def atoms(self) -> list[tuple[float, float]]:
        """Return levels that are more than points of a grid, with probabilities."""
        out = self._stands_out()
        return [
            (float(s), float(m)) for s, m in zip(self.points[out], self.masses[out])
        ]

    def density(self, edges: np.ndarray) -> np.ndarray:
        """Return the mean density in cells, atoms left out.

        The points of a grid are spread half-way to their neighbours.

        Args:
            edges: Edges of the cells, rising ``[C + 1]``.

        Returns:
            Densities ``[C]``.
        """
        reached = self.continuous(edges)
        fine = ~self._stands_out()
        if fine.any():
            points, masses = self.points[fine], self.masses[fine]
            half = (points[1:] + points[:-1]) / 2
            first = points[0] - (half[0] - points[0] if len(half) else 0.0)
            last = points[-1] + (points[-1] - half[-1] if len(half) else 0.0)
            cells = np.concatenate([[max(first, 0)], half, [min(last, 1)]])
            reached = reached + np.interp(
                edges, cells, np.concatenate([[0.0], np.cumsum(masses)])
            )
        return np.diff(reached) / np.diff(edges)


def uniform(low: float = 0.0, high: float = 1.0) -> LevelDistribution:
    """Return the uniform distribution."""
    flat = LevelDistribution(lambda sigma: np.clip(np.asarray(sigma, float), 0, 1))
    return flat if (low, high) == (0.0, 1.0) else flat.rescaled(low, high)


def logit_normal(mean: float = 0.0, std: float = 1.0) -> LevelDistribution:
    """Return the distribution of a sigmoid of a normal variable."""
    if std <= 0:
        return point(float(1 / (1 + np.exp(-mean))))
    return LevelDistribution(
        lambda sigma: ndtr((logit(np.clip(sigma, 0.0, 1.0)) - mean) / std)
    )


def beta(alpha: float, beta: float) -> LevelDistribution:
    """Return the Beta distribution."""
    return LevelDistribution(lambda sigma: betainc(alpha, beta, np.clip(sigma, 0, 1)))


def mode(scale: float) -> LevelDistribution:
    """Return the mode sampling of SD3 (Esser et al., 2024, section 3.1)."""
    v = (np.arange(20_000) + 0.5) / 20_000
    u = 1 - v - scale * (np.cos(np.pi * v / 2) ** 2 - 1 + v)
    rising = np.sort(np.clip(u, 0, 1))
    return LevelDistribution(
        lambda sigma: np.interp(sigma, rising, 1 - v[::-1], left=0.0, right=1.0)
    )


def point(level: float) -> LevelDistribution:
    """Return the distribution of a level that is always drawn."""
    return LevelDistribution(points=np.array([level]), masses=np.array([1.0]))


def weighted(levels: np.ndarray, masses: np.ndarray) -> LevelDistribution:
    """Return a distribution on levels with given probabilities.

    Args:
        levels: Levels in any order, also repeated ``[P]``.
        masses: Their probabilities ``[P]``.

    Returns:
        The distribution.
    """
    points, where = np.unique(np.asarray(levels, dtype=float), return_inverse=True)
    sums = np.bincount(where, weights=np.asarray(masses, dtype=float))
    return LevelDistribution(points=points[sums > 0], masses=sums[sums > 0])


def on_grid(levels: np.ndarray) -> LevelDistribution:
    """Return the distribution that picks any of the levels alike ``[P]``."""
    return weighted(levels, np.full(len(levels), 1 / len(levels)))


def mixture(
    parts: Sequence[tuple[float, LevelDistribution]],
) -> LevelDistribution:
    """Return a mixture.

    Args:
        parts: Weights of any positive sum, and distributions.

    Returns:
        The distribution.
    """
    total = sum(weight for weight, _ in parts)
    discrete = weighted(
        np.concatenate([part.points for _, part in parts]),
        np.concatenate([weight / total * part.masses for weight, part in parts]),
    )

    def continuous(sigma: np.ndarray) -> np.ndarray:
        return sum(
            (weight / total * part.continuous(sigma) for weight, part in parts),
            start=_none(sigma),
        )

    return LevelDistribution(continuous, discrete.points, discrete.masses)


def ks_distance(one: LevelDistribution, other: LevelDistribution) -> float:
    """Return the Kolmogorov-Smirnov distance of two distributions.

    Args:
        one: A distribution.
        other: A distribution.

    Returns:
        The largest difference of their distribution functions: exact at levels of
        positive probability, and to the spacing of `COMPARED` elsewhere.
    """
    places = np.concatenate([COMPARED, one.points, other.points])
    return max(
        float(np.abs(one.cdf(places, side) - other.cdf(places, side)).max())
        for side in ("left", "right")
    )
