"""``mixture``: a level from the base density, then a class by measured weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma, unshift_sigma
from tqd_probe.sampling.base_density import CellDensity, Density
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.timestep_sampler import LEVEL_MARGIN, TimestepSampler
from tqd_probe.schedules.band_schedule import BandSchedule, Mixture

GRID = 4097  # places at which a mixture's distribution function is tabled


class MixtureSampler(TimestepSampler):
    """``mixture``: a level from the base density, then a class by the schedule.

    The base density of sigma is preserved exactly; at each level classes have the
    shares of ``mixture.weights``, linear between measured levels. A schedule of joint
    form also states how much each level is trained: its cell, which ends half way to
    the next level, gets the share of ``mixture.level_density``.
    """

    name = "mixture"

    def __init__(self, base: Density, schedule: BandSchedule, **options: Any):
        """Read the mixture; raises `InputError` where the schedule has none."""
        if schedule.mixture is None:
            raise InputError(
                "--schedule: mixture: is null; make the schedule with tqd_probe.gradsim"
                " --criterion mixture --pool ..."
            )
        self.mixture: Mixture = schedule.mixture
        self.levels = np.array(schedule.noise.levels)
        density: Density = base
        if self.mixture.form == "joint" and self.mixture.level_density:
            span = options.get("sigma_range", (0.0, 1.0))
            edges, shares = _cells(
                self.levels, self.mixture.level_density, schedule.noise.shift, span
            )
            density = CellDensity(base, edges, shares)
        super().__init__(density, order="level", **options)
        weights = np.array(self.mixture.weights, dtype=float)
        self.weights = dict(zip(self.mixture.classes, weights.T))
        p = np.linspace(0, 1, GRID)
        places = np.clip(self.base.quantile(p), LEVEL_MARGIN, 1 - LEVEL_MARGIN)
        self._tables: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
        for name in self.weights:
            share = self.weight(name, places)
            steps = (share[1:] + share[:-1]) / 2 / (GRID - 1)
            total = np.concatenate([[0.0], np.cumsum(steps)])
            self._tables[name] = (p, total / max(total[-1], 1e-300), float(total[-1]))

    def weight(self, name: str, sigma: np.ndarray) -> np.ndarray:
        """Return the share of a class at levels, same shape.

        Args:
            name: A class of the mixture.
            sigma: Levels.

        Returns:
            Shares in [0, 1]; over classes they sum to 1.
        """
        return np.interp(sigma, self.levels, self.weights[name])

    def check(self, clips: ClipPool) -> None:
        """Refuse pools that lack a class the mixture draws, or have unknown ones."""
        clips.refuse_unknown(list(self.weights), sampler=self.name)
        present = set(clips.classes)
        for name, weights in self.weights.items():
            if name not in present and weights.max() > 0:
                raise InputError(
                    f"--clips: no clip of class {name!r}, which the schedule's mixture"
                    " draws; add clips, or measure with the --pool of these clips"
                )

    def keep_probability(self, clips: ClipPool) -> np.ndarray:
        """Return 1 for classes that are drawn at some level, else 0."""
        return np.array([float(self._tables[c][2] > 0) for c in clips.classes])

    def affinity(self, sigma: float, groups: ClipPool, sizes: np.ndarray) -> np.ndarray:
        """Return the classes' shares at the level, however many clips they have."""
        place = np.array(sigma)
        return np.array([float(self.weight(c, place)) for c in groups.classes])

    def _cdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        at, out = self.base.cdf(sigma), np.empty(len(clips))
        for name in sorted(set(clips.classes)):
            rows = clips.classes == name
            out[rows] = np.interp(at[rows], *self._tables[name][:2])
        return out

    def _quantile(self, p: np.ndarray, clips: ClipPool) -> np.ndarray:
        out = np.empty(len(clips))
        for name in sorted(set(clips.classes)):
            rows, (grid, table, _) = clips.classes == name, self._tables[name]
            out[rows] = self.base.quantile(np.interp(p[rows], table, grid))
        return out

    def _pdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        out, base = np.zeros(len(clips)), self.base.pdf(sigma)
        for name in sorted(set(clips.classes)):
            rows, total = clips.classes == name, self._tables[name][2]
            if total > 0:
                out[rows] = base[rows] * self.weight(name, sigma[rows]) / total
        return out


def _cells(
    levels: np.ndarray, density: list[float], shift: float, span: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of the levels' cells from 0 to 1, and the cells' shares.

    The outermost cells end where the network's range does, if the schedule was measured
    inside it; beyond it nothing is drawn.
    """
    if levels[0] < span[0] or levels[-1] > span[1]:
        span = (0.0, 1.0)
    u, ends = unshift_sigma(levels, shift), unshift_sigma(np.array(span), shift)
    between = np.concatenate([ends[:1], (u[1:] + u[:-1]) / 2, ends[1:]])
    shares = np.array(density, dtype=float)
    if ends[0] > 0:
        between, shares = np.append(0.0, between), np.append(0.0, shares)
    if ends[1] < 1:
        between, shares = np.append(between, 1.0), np.append(shares, 0.0)
    return shift_sigma(between, shift), shares
