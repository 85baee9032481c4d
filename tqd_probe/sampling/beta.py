"""``beta``: the sampler of TQD, a Beta distribution from a clip's two scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import betainc, betaincinv
from scipy.stats import beta as beta_distribution

from tqd_probe.core.errors import InputError
from tqd_probe.core.quality_beta import beta_parameters, keep_probability
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.timestep_sampler import TimestepSampler
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.bands import band_cdf
from tqd_probe.schedules.fits import fit_beta
from tqd_probe.schedules.mixture_schema import BetaFit

BETA_FLOOR = 0.1  # least parameter of a Beta: at |mq - vq| = 1 the formula gives 0


class BetaSampler(TimestepSampler):
    """``beta``: TQD as published (arXiv 2603.25527).

    The formula is in `tqd_probe.core.quality_beta`. Parameters below `BETA_FLOOR` are
    raised to it and counted. A parameter below 1 crowds levels at an end of the axis:
    they are cut at `LEVEL_MARGIN`, not moved there, so no level has a mass of its own.
    """

    name = "beta"
    by_class = False

    def __init__(
        self, base: BaseDensity, kappa_base: float, kappa_max: float, **options: Any
    ) -> None:
        """Set the two concentrations; see the class."""
        super().__init__(base, **options)
        self.base: BaseDensity = base
        self.kappa_base, self.kappa_max = kappa_base, kappa_max

    def check(self, clips: ClipPool) -> None:
        """Refuse clips without scores, and a pool of which nothing is kept."""
        missing = ~np.isfinite(clips.mq) | ~np.isfinite(clips.vq)
        if missing.any():
            raise InputError(
                f"--sampler beta: {int(missing.sum())} of {len(clips)} clips have no mq"
                " or vq; give a manifest with both columns (tqd_probe.score makes one)"
            )
        if not (self.keep_probability(clips) > 0).any():
            raise InputError(
                "--sampler beta: mq and vq of every clip are 0, so none is kept; check"
                " the scores"
            )

    def parameters(self, clips: ClipPool) -> tuple[np.ndarray, np.ndarray]:
        """Return the parameters of the clips' Beta distributions.

        Args:
            clips: The clips, with scores.

        Returns:
            Two arrays ``[N]``, floored.
        """
        raw = self._unfloored(clips)
        return np.maximum(raw[0], BETA_FLOOR), np.maximum(raw[1], BETA_FLOOR)

    def _ends(self, clips: ClipPool) -> tuple[np.ndarray, np.ndarray]:
        alpha, beta = self.parameters(clips)
        low, high = super()._ends(clips)
        least, most = self.level_limits()
        return np.where(alpha < 1, least, low), np.where(beta < 1, most, high)

    def floored_clips(self, clips: ClipPool) -> np.ndarray:
        """Return which clips have a parameter raised to `BETA_FLOOR`."""
        raw = self._unfloored(clips)
        return (raw[0] < BETA_FLOOR) | (raw[1] < BETA_FLOOR)

    def keep_probability(self, clips: ClipPool) -> np.ndarray:
        """Return ``max(mq, vq)``."""
        return keep_probability(clips.mq, clips.vq)

    def _unfloored(self, clips: ClipPool) -> tuple[np.ndarray, np.ndarray]:
        return beta_parameters(clips.mq, clips.vq, self.kappa_base, self.kappa_max)

    def _cdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        return betainc(*self.parameters(clips), self.base.to_u(sigma))

    def _quantile(self, p: np.ndarray, clips: ClipPool) -> np.ndarray:
        u = betaincinv(*self.parameters(clips), p)
        return self.base.of_u(u)

    def _pdf(self, sigma: np.ndarray, clips: ClipPool) -> np.ndarray:
        law = beta_distribution.pdf(self.base.to_u(sigma), *self.parameters(clips))
        return law * self.base.slope(sigma)


def kappa_max_from_fits(
    schedule: BandSchedule,
    clips: ClipPool,
    kappa_base: float,
    base: BaseDensity | None = None,
) -> tuple[float, str]:
    """Take ``kappa_max`` from Beta distributions fitted to a schedule's bands.

    A class of mean gap g whose fit has the concentration ``alpha + beta`` satisfies
    ``kappa_base + (kappa_max - kappa_base) g = alpha + beta``; classes are averaged by
    clips. The sampler draws u: fits are those of the base density of u inside the
    bands. A fit that the schedule holds for the same shift and a uniform base is taken
    as it is. The mean of a clip's levels follows from its scores, whatever the bands:
    the note says how far from its bands each class is then drawn.

    Args:
        schedule: The schedule.
        clips: The clips, with scores.
        kappa_base: The concentration at equal scores.
        base: The base density that the sampler has; uniform by default.

    Returns:
        ``kappa_max``, at least `kappa_base`, and a sentence on where it comes from.

    Raises:
        InputError: If no class of the clips has a fit.
    """
    base = base or BaseDensity()
    found: dict[str, float] = {}
    counts = []
    for name, curves in schedule.classes.items():
        rows = clips.classes == name
        gap = float(np.abs(clips.mq - clips.vq)[rows].mean()) if rows.any() else 0.0
        fit = _concentration(list(curves.bands), curves.beta, base)
        if fit is None or not gap > 0.05:
            continue
        found[name] = kappa_base + (fit - kappa_base) / gap
        counts.append(int(rows.sum()))
    if not found:
        raise InputError(
            "--kappa-max: no class of the clips has a Beta fit in the schedule and"
            " scores that differ; give --kappa-max (8 is common)"
        )
    value = float(np.average(list(found.values()), weights=counts))
    used = max(value, kappa_base)
    sampler = BetaSampler(base, kappa_base=kappa_base, kappa_max=used)
    names = []
    for name, kappa in found.items():
        some = clips.take(clips.classes == name)
        distance = distance_to_bands(sampler, some, list(schedule.classes[name].bands))
        names.append(f"{name} {kappa:.2f}, drawn {distance:.2f} from its bands")
    note = (
        f"kappa_max {value:.2f} from the schedule's fits ({'; '.join(names)}, by"
        " Kolmogorov-Smirnov distance)"
    )
    if value < kappa_base:
        note += f"; below kappa_base, {kappa_base:g} is used"
    return used, note


def distance_to_bands(
    sampler: BetaSampler, clips: ClipPool, bands: list[tuple[float, float]]
) -> float:
    """Measure how far from its bands a class is drawn.

    Args:
        sampler: The sampler.
        clips: Clips of the class, with scores; every n-th of more than 256 counts.
        bands: Bands of sigma of the class.

    Returns:
        Kolmogorov-Smirnov distance to the base density inside the bands; 1 without
        bands.
    """
    base, edges = sampler.base, np.array(bands).reshape(-1, 2)
    inside = [(float(a), float(b)) for a, b in base.cdf(edges) if b > a]
    if not inside:
        return 1.0
    some = clips.take(slice(None, None, -(-len(clips) // 256)))
    keep = np.maximum(sampler.keep_probability(some), 1e-12)
    grid = np.union1d(base.quantile(np.arange(1, 400) / 400), edges)
    drawn = sum(
        weight * sampler._cdf(grid, some.take(np.full(len(grid), row)))
        for row, weight in enumerate(keep / keep.sum())
    )
    return float(np.abs(drawn - band_cdf(inside, base.cdf(grid))).max())


def _concentration(
    bands: list[tuple[float, float]], stored: BetaFit | None, base: BaseDensity
) -> float | None:
    """Return ``alpha + beta`` of the Beta of u that fits a class's bands."""
    plain = base.kind == "uniform" and base.timesteps is None
    if stored and plain and stored.shift == base.shift:
        return stored.alpha + stored.beta
    edges = base.to_u(np.array(bands).reshape(-1, 2))
    of_u = replace(base, shift=1.0, timesteps=None)
    fit = fit_beta([(float(a), float(b)) for a, b in edges if b > a], base=of_u.cdf)
    return None if fit is None else fit["alpha"] + fit["beta"]
