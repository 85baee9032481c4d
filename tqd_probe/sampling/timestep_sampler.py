"""The interface of timestep samplers: the distribution of sigma, given a clip.

A sampler states its density, its distribution function and its quantiles. A draw is a
quantile of a uniform number, so one stream of numbers gives comparable levels under
every sampler. Which clip is drawn, and in which order clip and level are, is decided in
`tqd_probe.sampling.draw_stream`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.base_density import Density
from tqd_probe.sampling.clip_pool import ClipPool

LEVEL_MARGIN = 1e-6  # levels stay this far from 0 and 1, where logsnr is infinite


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
        base: Density,
        order: Literal["clip", "level"] = "clip",
        sigma_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Set what all samplers have; see the class."""
        self.base, self.order, self.sigma_range = base, order, sigma_range

    @abstractmethod
    def _cdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        """Distribution function on (0, 1) for each clip, before `sigma_range`."""

    @abstractmethod
    def _quantile(self, p: np.ndarray, clips: ClipPool) -> np.ndarray:
        """Quantile for each clip, before `sigma_range`."""

    @abstractmethod
    def _pdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        """Density for each clip, before `sigma_range`."""

    def check(self, clips: ClipPool) -> None:  # noqa: B027 - most refuse nothing
        """Refuse clips that this sampler cannot draw levels for.

        Args:
            clips: The clips to be trained on.

        Raises:
            InputError: If a class or a score is missing; names it and the cure.
        """

    def keep_probability(self, clips: ClipPool) -> np.ndarray:
        """Return the probability that a clip, once drawn, is used ``[N]``.

        Args:
            clips: The clips.

        Returns:
            Values in [0, 1]; 1 for samplers without keep-probability.
        """
        return np.ones(len(clips))

    def floored_clips(self, clips: ClipPool) -> np.ndarray:
        """Return which clips have a formula parameter raised to its floor ``[N]``.

        Args:
            clips: The clips.

        Returns:
            A mask.
        """
        return np.zeros(len(clips), dtype=bool)

    def _ends(self, clips: ClipPool) -> tuple[np.ndarray, np.ndarray]:
        """Return between which levels each clip's distribution is cut ``[N]`` twice."""
        low, high = (np.full(len(clips), edge) for edge in self.sigma_range)
        return low, high

    def mass(self, clips: ClipPool) -> np.ndarray:
        """Return the share of each clip's levels inside `sigma_range` ``[N]``."""
        low, high = (np.full(len(clips), edge) for edge in self.sigma_range)
        return np.maximum(self._cdf(high, clips) - self._cdf(low, clips), 0)

    def quantile(self, p: np.ndarray, clips: ClipPool) -> np.ndarray:
        """Return levels at given probabilities.

        Args:
            p: Probabilities in [0, 1], one per clip ``[N]``.
            clips: The clips.

        Returns:
            sigma ``[N]``, inside `sigma_range`, at least `LEVEL_MARGIN` from 0 and 1.
        """
        start, kept = self._cut(clips)
        level = self._quantile(start + np.asarray(p) * kept, clips)
        return np.clip(level, *self.level_limits())

    def _cut(self, clips: ClipPool) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability below the cut, and that inside it ``[N]``."""
        low, high = self._ends(clips)
        start = self._cdf(low, clips)
        return start, np.maximum(self._cdf(high, clips) - start, 0)

    def density(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        """Return the density of sigma for each clip ``[N, S]``.

        Args:
            sigma: Points in (0, 1) ``[S]``.
            clips: The clips.

        Returns:
            Densities that integrate to 1 over `sigma_range`; 0 for a clip that is
            never trained there.
        """
        low, high = self._ends(clips)
        inside = (sigma >= low[:, None]) & (sigma <= high[:, None])
        rows = np.repeat(np.arange(len(clips)), len(sigma))
        flat = self._pdf(np.tile(sigma, len(clips)), clips.take(rows))
        mass = self._cut(clips)[1][:, None]
        shaped = flat.reshape(len(clips), len(sigma)) * inside
        return np.divide(shaped, mass, out=np.zeros_like(shaped), where=mass > 0)

    def cumulative(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        """Return the probability of a level up to sigma for each clip ``[N, S]``.

        Args:
            sigma: Points in [0, 1] ``[S]``.
            clips: The clips.

        Returns:
            Probabilities, 0 to 1 over the levels trained; 0 everywhere for a clip that
            is never trained there.
        """
        low, high = self._ends(clips)
        places = np.clip(np.tile(sigma, (len(clips), 1)), low[:, None], high[:, None])
        rows = np.repeat(np.arange(len(clips)), len(sigma))
        flat = self._cdf(places.ravel(), clips.take(rows))
        start, mass = (part[:, None] for part in self._cut(clips))
        share = flat.reshape(places.shape) - start
        return np.divide(share, mass, out=np.zeros_like(share), where=mass > 0)

    def sample(
        self,
        classes: Sequence[str],
        mq: Sequence[float | None] | np.ndarray | None,
        vq: Sequence[float | None] | np.ndarray | None,
        rng: np.random.Generator,
    ) -> np.ndarray:
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

    def affinity(self, sigma: float, groups: ClipPool, sizes: np.ndarray) -> np.ndarray:
        """Return how much a level suits groups of clips, for level-first order.

        Args:
            sigma: The level.
            groups: One clip of each group ``[G]``; all of a group have the same
                density (see `by_class`).
            sizes: Clips in each group ``[G]``.

        Returns:
            Relative probabilities ``[G]``: density at the level times `keep`, summed
            over the clips of the group.
        """
        places = np.full(len(groups), sigma)
        return self._pdf(places, groups) * self.keep_probability(groups) * sizes

    def level_limits(self) -> tuple[float, float]:
        """Return the lowest and highest level that is ever drawn."""
        return max(self.sigma_range[0], LEVEL_MARGIN), min(
            self.sigma_range[1], 1 - LEVEL_MARGIN
        )
