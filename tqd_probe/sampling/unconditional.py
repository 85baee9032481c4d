"""``uniform``, ``logit_normal``, ``measured``: one density of sigma for every clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.sampling.base_density import Density
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.timestep_sampler import TimestepSampler


class UnconditionalSampler(TimestepSampler):
    """The base density whatever the clip, under its name."""

    def __init__(self, base: Density, **options: Any) -> None:
        """Take the name from the base density."""
        super().__init__(base, **options)
        self.name = base.kind

    def _cdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        return self.base.cdf(sigma)

    def _quantile(self, p: np.ndarray, clips: ClipPool) -> np.ndarray:
        return self.base.quantile(p)

    def _pdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        return self.base.pdf(sigma)
