"""``bands``: the base density restricted to the bands of the clip's class."""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.errors import InputError
from tqd_probe.sampling.base_density import Density
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.timestep_sampler import TimestepSampler
from tqd_probe.schedules.band_schedule import BandSchedule


class BandSampler(TimestepSampler):
    """``bands``: the base density restricted to the bands of the clip's class."""

    name = "bands"

    def __init__(self, base: Density, schedule: BandSchedule, **options: Any) -> None:
        """Read the bands; golden clips have all levels."""
        super().__init__(base, **options)
        self.bands: dict[str, list[tuple[float, float]]] = {GOLDEN: [(0.0, 1.0)]}
        for name, curves in schedule.measured_classes().items():
            self.bands[name] = list(curves.bands)
        self.reasons = {name: each.reason for name, each in schedule.classes.items()}

    def check(self, clips: ClipPool) -> None:
        """Refuse classes the schedule does not know, and pools without any band."""
        clips.refuse_unknown(list(self.bands), self.name, self.reasons)
        if not (self.keep_probability(clips) * self.mass(clips) > 0).any():
            raise InputError(
                "--sampler bands: no class of the clips has a band in the levels"
                " trained; lower --cos-min in the probe, or use --sampler mixture"
            )

    def keep_probability(self, clips: ClipPool) -> np.ndarray:
        """Return 1 for classes with bands, 0 for those without."""
        has = [bool(self.bands.get(name)) for name in clips.classes]
        return np.array(has, dtype=float)

    def _rows_by_class(
        self, clips: ClipPool
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return rows, the base's cdf at band edges, and the edges, of each class."""
        found = []
        for name in sorted(set(clips.classes)):
            edges = np.array(self.bands[name]).reshape(-1, 2)
            rows = np.flatnonzero(clips.classes == name)
            if len(edges):
                found.append((rows, self.base.cdf(edges), edges))
        return found

    def _cdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        out = np.zeros(len(clips))
        for rows, edges, _ in self._rows_by_class(clips):
            at = self.base.cdf(sigma[rows])[:, None]
            width = edges[:, 1] - edges[:, 0]
            out[rows] = np.clip(at - edges[:, 0], 0, width).sum(1) / width.sum()
        return out

    def _quantile(self, p: np.ndarray, clips: ClipPool) -> np.ndarray:
        out = np.full(len(clips), np.nan)
        for rows, edges, places in self._rows_by_class(clips):
            width = edges[:, 1] - edges[:, 0]
            ends = np.cumsum(width)
            target = np.clip(p[rows], 0, 1) * ends[-1]
            band = np.minimum(np.searchsorted(ends, target), len(ends) - 1)
            inside = target - (ends[band] - width[band])
            level = self.base.quantile(edges[band, 0] + inside)
            out[rows] = np.clip(level, places[band, 0], places[band, 1])
        return out

    def _pdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        out = np.zeros(len(clips))
        for rows, edges, places in self._rows_by_class(clips):
            at = sigma[rows][:, None]
            inside = ((at >= places[:, 0]) & (at <= places[:, 1])).any(1)
            total = (edges[:, 1] - edges[:, 0]).sum()
            out[rows] = inside * self.base.pdf(sigma[rows]) / total
        return out
