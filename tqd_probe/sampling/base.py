"""What timestep samplers share: clips, the base density of sigma, the interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import norm

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma, unshift_sigma

Array = np.ndarray
EDGE = 1e-6  # levels stay this far from 0 and 1, where logsnr is infinite


@dataclass(frozen=True)
class ClipPool:
    """What samplers know about clips, one entry per clip.

    Attributes:
        classes: Class names ``[N]``.
        mq: Motion quality in [0, 1] ``[N]``, NaN where there is no score.
        vq: Visual quality in [0, 1] ``[N]``, NaN where there is no score.
    """

    classes: Array
    mq: Array
    vq: Array

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        mq: Sequence[float | None] | Array | None = None,
        vq: Sequence[float | None] | Array | None = None,
    ) -> ClipPool:
        """Build a pool from lists.

        Args:
            classes: Class of each clip.
            mq: Motion quality of each; None where there is no score.
            vq: Visual quality of each; None where there is no score.

        Returns:
            The pool.
        """
        blank = np.full(len(classes), np.nan)
        scores = [
            blank if s is None else np.array([np.nan if x is None else x for x in s])
            for s in (mq, vq)
        ]
        return cls(np.array(classes, dtype=object), *scores)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.classes)

    def take(self, rows: Any) -> ClipPool:
        """Return some clips.

        Args:
            rows: Indices or a mask.

        Returns:
            A pool of those clips.
        """
        return ClipPool(self.classes[rows], self.mq[rows], self.vq[rows])


@dataclass(frozen=True)
class BaseDensity:
    """Density of sigma over the whole training: uniform or logit-normal, shifted.

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

    def cdf(self, sigma: Array) -> Array:
        """Return the probability of a level up to sigma, same shape."""
        u = unshift_sigma(sigma, self.shift)
        if self.kind == "uniform":
            return np.clip(u, 0, 1)
        return ndtr((logit(u) - self.mean) / self.std)

    def quantile(self, p: Array) -> Array:
        """Return the level below which a share `p` of the levels lies, same shape."""
        p = np.asarray(p, dtype=np.float64)
        u = p if self.kind == "uniform" else expit(self.mean + self.std * ndtri(p))
        return shift_sigma(u, self.shift)

    def pdf(self, sigma: Array) -> Array:
        """Return the density at sigma in (0, 1), same shape."""
        s = np.asarray(sigma, dtype=np.float64)
        slope = self.shift / (self.shift - (self.shift - 1) * s) ** 2  # du / dsigma
        if self.kind == "uniform":
            return slope
        u = unshift_sigma(s, self.shift)
        z = (logit(u) - self.mean) / self.std
        return norm.pdf(z) / (self.std * u * (1 - u)) * slope


class CellDensity:
    """A base density that is given other shares of cells of sigma.

    Inside a cell levels are spread as the base density spreads them.
    """

    def __init__(self, base: BaseDensity, edges: Array, shares: Array) -> None:
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

    def cdf(self, sigma: Array) -> Array:
        """Return the probability of a level up to sigma, same shape."""
        return np.interp(self.base.cdf(sigma), self._at, self._start)

    def quantile(self, p: Array) -> Array:
        """Return the level below which a share `p` of the levels lies, same shape."""
        p = np.asarray(p, dtype=np.float64)
        cell = np.searchsorted(self._start, p, side="right") - 1
        cell = np.clip(cell, 0, len(self.shares) - 1)
        inside = (p - self._start[cell]) / np.maximum(self.shares[cell], 1e-300)
        width = np.diff(self._at)[cell]
        return self.base.quantile(self._at[cell] + np.clip(inside, 0, 1) * width)

    def pdf(self, sigma: Array) -> Array:
        """Return the density at sigma in (0, 1), same shape."""
        cell = np.searchsorted(self.edges, sigma, side="right") - 1
        cell = np.clip(cell, 0, len(self.shares) - 1)
        return self.base.pdf(sigma) * (self.shares / np.diff(self._at))[cell]


class TimestepSampler(ABC):
    """Distribution of sigma given a clip; by default the base density for all.

    Attributes:
        name: Name on the command line.
        order: ``clip``: a clip is drawn first, then its level; ``level``: a level
            from the base density first, then a clip that it suits.
        by_class: Whether only the class of a clip matters, not its scores.
        base: The base density.
        sigma_range: Levels trained, as for one expert of a model with two.
    """

    name = "uniform"
    by_class = True

    def __init__(
        self,
        base: BaseDensity | CellDensity,
        order: Literal["clip", "level"] = "clip",
        sigma_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Set what all samplers have; see the class."""
        self.base, self.order, self.sigma_range = base, order, sigma_range

    @abstractmethod
    def _cdf(self, sigma: Array, clips: ClipPool) -> Array:
        """Distribution function on (0, 1) for each clip, before `sigma_range`."""

    @abstractmethod
    def _quantile(self, p: Array, clips: ClipPool) -> Array:
        """Quantile for each clip, before `sigma_range`."""

    @abstractmethod
    def _pdf(self, sigma: Array, clips: ClipPool) -> Array:
        """Density for each clip, before `sigma_range`."""

    def check(self, clips: ClipPool) -> None:  # noqa: B027 - most refuse nothing
        """Refuse clips this sampler cannot place.

        Args:
            clips: The clips to be trained on.

        Raises:
            InputError: If a class or a score is missing; names it and the cure.
        """

    def keep(self, clips: ClipPool) -> Array:
        """Return the probability that a clip, once drawn, is used ``[N]``.

        Args:
            clips: The clips.

        Returns:
            Values in [0, 1]; 1 for samplers without keep-probability.
        """
        return np.ones(len(clips))

    def floored(self, clips: ClipPool) -> Array:
        """Say which clips have scores too extreme for the formula ``[N]``.

        Args:
            clips: The clips.

        Returns:
            A mask.
        """
        return np.zeros(len(clips), dtype=bool)

    def mass(self, clips: ClipPool) -> Array:
        """Return the share of each clip's levels inside `sigma_range` ``[N]``."""
        low, high = (np.full(len(clips), edge) for edge in self.sigma_range)
        return np.maximum(self._cdf(high, clips) - self._cdf(low, clips), 0)

    def quantile(self, p: Array, clips: ClipPool) -> Array:
        """Return levels at given probabilities.

        Args:
            p: Probabilities in [0, 1], one per clip ``[N]``.
            clips: The clips.

        Returns:
            sigma ``[N]``, inside `sigma_range` and at least `EDGE` from 0 and 1.
        """
        low, high = self.edges()
        start = self._cdf(np.full(len(clips), self.sigma_range[0]), clips)
        p = start + np.asarray(p) * self.mass(clips)
        return np.clip(self._quantile(p, clips), low, high)

    def density(self, sigma: Array, clips: ClipPool) -> Array:
        """Return the density of sigma for each clip ``[N, S]``.

        Args:
            sigma: Places in (0, 1) ``[S]``.
            clips: The clips.

        Returns:
            Densities that integrate to 1 over `sigma_range`; 0 for a clip that is
            never trained there.
        """
        low, high = self.sigma_range
        inside = (sigma >= low) & (sigma <= high)
        rows = np.repeat(np.arange(len(clips)), len(sigma))
        flat = self._pdf(np.tile(sigma, len(clips)), clips.take(rows))
        mass = self.mass(clips)[:, None]
        shaped = flat.reshape(len(clips), len(sigma)) * inside
        return np.divide(shaped, mass, out=np.zeros_like(shaped), where=mass > 0)

    def sample(
        self,
        classes: Sequence[str],
        mq: Sequence[float | None] | Array | None,
        vq: Sequence[float | None] | Array | None,
        rng: np.random.Generator,
    ) -> Array:
        """Draw a level for each clip of a batch.

        Args:
            classes: Class of each clip.
            mq: Motion quality of each, or None.
            vq: Visual quality of each, or None.
            rng: Source of one uniform number per clip.

        Returns:
            sigma ``[N]``.

        Raises:
            InputError: If a class or a score is missing, or a clip is never trained.
        """
        clips = ClipPool.of(classes, mq, vq)
        self.check(clips)
        never = self.mass(clips) == 0
        if never.any():
            raise InputError(
                f"--sampler {self.name}: class {clips.classes[never][0]!r} is trained"
                " at no level; leave its clips out"
            )
        return self.quantile(rng.random(len(clips)), clips)

    def affinity(self, sigma: float, groups: ClipPool, sizes: Array) -> Array:
        """Return how much a level suits groups of like clips, for level-first order.

        Args:
            sigma: The level.
            groups: One clip of each group ``[G]``; those of a group are alike to
                this sampler (see `by_class`).
            sizes: Clips in each group ``[G]``.

        Returns:
            Relative probabilities ``[G]``: density at the level times `keep`, summed
            over the clips of the group.
        """
        places = np.full(len(groups), sigma)
        return self._pdf(places, groups) * self.keep(groups) * sizes

    def edges(self) -> tuple[float, float]:
        """Return the lowest and highest level that is ever drawn."""
        return max(self.sigma_range[0], EDGE), min(self.sigma_range[1], 1 - EDGE)
