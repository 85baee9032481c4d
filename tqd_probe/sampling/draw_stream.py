"""Which clip is trained at which level: draw number n of a run, for any n.

Draw n depends on the run seed, the clips and the sampler, and on nothing else: not on
batch size, processes, workers or where a run was resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.rng import stream
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.timestep_sampler import TimestepSampler

MOST_LEVELS = 1000  # levels drawn before giving up on finding a clip for one
CACHED = 10_000  # draws kept in memory
LEVELS = 400  # of the base density, where shares of level-first order are expected
CANDIDATES = 32  # clips proposed (rejection sampling) before one is drawn directly


@dataclass(frozen=True)
class TrainingDraw:
    """One training sample.

    Attributes:
        index: Number of the draw in the run.
        clip: Row of the clip among the clips of the run.
        sigma: Noise level.
    """

    index: int
    clip: int
    sigma: float


class DrawStream:
    """The draws of a run."""

    def __init__(self, sampler: TimestepSampler, clips: ClipPool, seed: int) -> None:
        """Check the clips and compute their probabilities.

        Clip-first order: a clip, in proportion to its repeats, its keep-probability and
        the share of its levels inside the range trained, then its level. The clip is
        drawn by rejection sampling, in which draw n proposes the same clips in the same
        order to every sampler. So two samplers mostly train on the same clip, at the
        same quantile, with the same noise (common random numbers).

        Level-first order: the level from the base density, then a clip in proportion to
        the sampler's `affinity` for the level, and to its repeats.

        Args:
            sampler: The sampler.
            clips: The clips.
            seed: Run seed.
        """
        sampler.check(clips)
        self.sampler, self.clips, self.seed = sampler, clips, seed
        weights = sampler.keep_probability(clips) * sampler.mass(clips) * clips.repeats
        self.clip_shares = weights / weights.sum()
        self._cumulative = np.cumsum(self.clip_shares)
        self._cache: dict[int, TrainingDraw] = {}
        self._keep = weights / weights.max()
        if sampler.by_class:
            names = sorted(set(clips.classes))
            self._members = [np.flatnonzero(clips.classes == name) for name in names]
        else:
            self._members = [np.array([row]) for row in range(len(clips))]
        self._groups = clips.take([rows[0] for rows in self._members])
        self._sizes = np.array([clips.repeats[rows].sum() for rows in self._members])
        low, high = sampler.sigma_range
        self._low, self._high = (
            float(sampler.base.cdf(np.array(e))) for e in (low, high)
        )

    def draw(self, index: int) -> TrainingDraw:
        """Return one draw.

        Args:
            index: Its number, from 0.

        Returns:
            The clip and the level.

        Raises:
            InputError: If no clip suits any of many levels (level-first order).
        """
        if index not in self._cache:  # batches and callbacks ask for the same draws
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[index] = self._draw(index)
        return self._cache[index]

    def _draw(self, index: int) -> TrainingDraw:
        rng = stream(self.seed, "train-draw", index)
        if self.sampler.order == "clip":
            which, p = rng.random(2)
            clip = self._clip(rng, which)
            return TrainingDraw(index, clip, self._level(clip, p))
        for _ in range(MOST_LEVELS):
            which, p, member = rng.random(3)
            sigma = self._base_level(p)
            suits = self.sampler.affinity(sigma, self._groups, self._sizes)
            total = np.cumsum(suits)
            if total[-1] > 0:
                group = int(np.searchsorted(total, which * total[-1], side="right"))
                rows = self._members[min(group, len(total) - 1)]
                return TrainingDraw(index, self._member(rows, member), sigma)
        raise InputError(
            f"--sampler {self.sampler.name}: no clip suits any of {MOST_LEVELS} levels;"
            " check the schedule's bands, or use --order clip"
        )

    def _member(self, rows: np.ndarray, p: float) -> int:
        """Return one of some clips, in proportion to their repeats."""
        often = self.clips.repeats[rows]
        if (often == often[0]).all():
            return int(rows[int(p * len(rows))])
        total = np.cumsum(often)
        return int(rows[int(np.searchsorted(total, p * total[-1], side="right"))])

    def class_density(self, sigma: np.ndarray) -> dict[str, np.ndarray]:
        """Return the expected density of draws over sigma, by class.

        A density may be infinite at the ends of the axis: for shares of draws see
        `class_shares`.

        Args:
            sigma: Points in (0, 1) ``[S]``.

        Returns:
            Densities ``[S]`` by class; all together they integrate to 1.
        """
        if self.sampler.order == "clip":
            return self._over_clips(lambda clips: self.sampler.density(sigma, clips))
        low, high = self.sampler.sigma_range
        inside = (sigma >= low) & (sigma <= high)
        base = self.sampler.base.pdf(sigma) * inside / (self._high - self._low)
        return self._by_level(sigma, base)

    def class_shares(self, edges: np.ndarray) -> dict[str, np.ndarray]:
        """Return the expected share of draws in each cell of sigma, by class.

        Args:
            edges: Edges of the cells, rising from 0 to 1 ``[S + 1]``.

        Returns:
            Shares ``[S]`` by class; all together they add up to 1.
        """
        if self.sampler.order == "clip":
            return self._over_clips(
                lambda clips: np.diff(self.sampler.cumulative(edges, clips), axis=1)
            )
        count = max(LEVELS, 4 * len(edges))
        p = self._low + (np.arange(count) + 0.5) / count * (self._high - self._low)
        sigma = self.sampler.base.quantile(p)
        cell = np.clip(np.searchsorted(edges, sigma, "right") - 1, 0, len(edges) - 2)
        return {
            name: np.bincount(cell, weights, len(edges) - 1)
            for name, weights in self._by_level(
                sigma, np.full(count, 1 / count)
            ).items()
        }

    def _over_clips(
        self, values: Callable[[ClipPool], np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Sum values ``[N, S]`` of clips by class, as often as clips are drawn."""
        out: dict[str, np.ndarray] = {}
        keys = np.stack([self.clips.mq, self.clips.vq], axis=1)
        if self.sampler.by_class:
            keys = np.zeros_like(keys)
        for name in sorted(set(self.clips.classes)):
            rows = np.flatnonzero(self.clips.classes == name)
            _, first, back = np.unique(
                keys[rows], axis=0, return_index=True, return_inverse=True
            )
            share = np.bincount(back.reshape(-1), self.clip_shares[rows])
            some = self.clips.take(rows[first])
            parts = [slice(at, at + 256) for at in range(0, len(first), 256)]
            # Part by part, which keeps the table small.
            out[name] = np.sum([share[p] @ values(some.take(p)) for p in parts], axis=0)
        return out

    def _by_level(self, sigma: np.ndarray, base: np.ndarray) -> dict[str, np.ndarray]:
        """Divide levels of the base density among the classes that suit them."""
        shares = np.array(
            [self.sampler.affinity(x, self._groups, self._sizes) for x in sigma]
        )
        total = shares.sum(1, keepdims=True)
        shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
        covered = float((base * (total[:, 0] > 0)).sum() / max(base.sum(), 1e-300))
        out = {name: np.zeros(len(sigma)) for name in sorted(set(self.clips.classes))}
        for column, name in enumerate(self._groups.classes):
            out[name] += base * shares[:, column] / covered
        return out

    def _clip(self, rng: np.random.Generator, which: float) -> int:
        """Return the first proposed clip that is kept; else draw directly."""
        proposed, chance = rng.random((2, CANDIDATES))
        clips = (proposed * len(self.clips)).astype(int)
        kept = np.flatnonzero(chance < self._keep[clips])
        if len(kept):
            return int(clips[kept[0]])
        clip = int(np.searchsorted(self._cumulative, which, side="right"))
        return min(clip, len(self.clips) - 1)

    def _level(self, clip: int, p: float) -> float:
        one = self.clips.take([clip])
        return float(self.sampler.quantile(np.array([p]), one)[0])

    def _base_level(self, p: float) -> float:
        at = self._low + p * (self._high - self._low)
        low, high = self.sampler.level_limits()
        return float(np.clip(self.sampler.base.quantile(np.array(at)), low, high))
