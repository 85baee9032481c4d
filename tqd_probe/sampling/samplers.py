"""Timestep samplers: at which noise level each clip is trained.

A sampler states, for a clip of known class and scores, the distribution of sigma: its
density, its distribution function and its quantiles. A draw is a quantile of a uniform
number, so one stream of numbers gives comparable levels under every sampler.
`tqd_probe.sampling.draw_stream` decides which clip is drawn, and in which order clip
and level are.

`base` is the density of levels before anything is known about the clip. `space` says
which variable densities are stated in: ``u``, and the timestep shift follows
(`tqd_probe.core.noise.shift_sigma`), or ``sigma``, and no shift is applied.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.special import betainc, betaincinv
from scipy.stats import beta as beta_distribution

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma, unshift_sigma
from tqd_probe.core.quality_beta import (
    KAPPA_BASE,
    beta_parameters,
    keep_probability,
)
from tqd_probe.sampling.base import Array, BaseDensity, ClipPool, TimestepSampler
from tqd_probe.sampling.schedule_samplers import BandSampler, MixtureSampler
from tqd_probe.schedules.band_schedule import BandSchedule

__all__ = [
    "SAMPLERS",
    "BandSampler",
    "BaseDensity",
    "BaseSampler",
    "BetaSampler",
    "ClipPool",
    "MixtureSampler",
    "TimestepSampler",
    "kappa_from",
    "make_sampler",
]
SAMPLERS = ("uniform", "logit_normal", "beta", "bands", "mixture")
BETA_FLOOR = 0.1  # least parameter of a Beta: at |mq - vq| = 1 the formula gives 0


class BaseSampler(TimestepSampler):
    """``uniform`` and ``logit_normal``: the base density whatever the clip."""

    def __init__(self, base: BaseDensity, **options: Any) -> None:
        """Take the name from the base density."""
        super().__init__(base, **options)
        self.name = base.kind

    def _cdf(self, sigma: Array, clips: ClipPool) -> Array:
        return self.base.cdf(sigma)

    def _quantile(self, p: Array, clips: ClipPool) -> Array:
        return self.base.quantile(p)

    def _pdf(self, sigma: Array, clips: ClipPool) -> Array:
        return self.base.pdf(sigma)


class BetaSampler(TimestepSampler):
    """``beta``: TQD as published (arXiv 2603.25527).

    The formula is in `tqd_probe.core.quality_beta`. Parameters below `BETA_FLOOR` are
    raised to it and counted.
    """

    name = "beta"
    by_class = False

    def __init__(
        self, base: BaseDensity, kappa_base: float, kappa_max: float, **options: Any
    ) -> None:
        """Set the two concentrations; see the class."""
        super().__init__(base, **options)
        self.kappa_base, self.kappa_max = kappa_base, kappa_max

    def check(self, clips: ClipPool) -> None:
        """Refuse clips without scores, and a pool of which nothing is kept."""
        missing = ~np.isfinite(clips.mq) | ~np.isfinite(clips.vq)
        if missing.any():
            raise InputError(
                f"--sampler beta: {int(missing.sum())} of {len(clips)} clips have no mq"
                " or vq; give a manifest with both columns (tqd_probe.score makes one)"
            )
        if not (self.keep(clips) > 0).any():
            raise InputError(
                "--sampler beta: mq and vq of every clip are 0, so none is kept; check"
                " the scores"
            )

    def parameters(self, clips: ClipPool) -> tuple[Array, Array]:
        """Return the parameters of the clips' Beta distributions.

        Args:
            clips: The clips, with scores.

        Returns:
            Two arrays ``[N]``, floored.
        """
        raw = self._unfloored(clips)
        return np.maximum(raw[0], BETA_FLOOR), np.maximum(raw[1], BETA_FLOOR)

    def floored(self, clips: ClipPool) -> Array:
        """Say for which clips a parameter was raised to `BETA_FLOOR`."""
        raw = self._unfloored(clips)
        return (raw[0] < BETA_FLOOR) | (raw[1] < BETA_FLOOR)

    def keep(self, clips: ClipPool) -> Array:
        """Return ``max(mq, vq)``."""
        return keep_probability(clips.mq, clips.vq)

    def _unfloored(self, clips: ClipPool) -> tuple[Array, Array]:
        return beta_parameters(clips.mq, clips.vq, self.kappa_base, self.kappa_max)

    def _cdf(self, sigma: Array, clips: ClipPool) -> Array:
        return betainc(*self.parameters(clips), unshift_sigma(sigma, self.base.shift))

    def _quantile(self, p: Array, clips: ClipPool) -> Array:
        u = betaincinv(*self.parameters(clips), p)
        return shift_sigma(u, self.base.shift)

    def _pdf(self, sigma: Array, clips: ClipPool) -> Array:
        u = unshift_sigma(sigma, self.base.shift)
        slope = BaseDensity(shift=self.base.shift).pdf(sigma)  # du / dsigma
        return beta_distribution.pdf(u, *self.parameters(clips)) * slope


def kappa_from(
    schedule: BandSchedule, clips: ClipPool, kappa_base: float
) -> tuple[float, str]:
    """Take ``kappa_max`` from the Beta distributions fitted to a schedule's bands.

    A class of mean gap g whose fit has the concentration ``alpha + beta`` satisfies
    ``kappa_base + (kappa_max - kappa_base) g = alpha + beta``; classes are averaged by
    clips.

    Args:
        schedule: The schedule.
        clips: The clips, with scores.
        kappa_base: The concentration at equal scores.

    Returns:
        ``kappa_max``, at least `kappa_base`, and a sentence on where it comes from.

    Raises:
        InputError: If no class of the clips has a fit.
    """
    found, counts, names = [], [], []
    for name, curves in schedule.classes.items():
        rows = clips.classes == name
        gap = float(np.abs(clips.mq - clips.vq)[rows].mean()) if rows.any() else 0.0
        if curves.beta is None or not gap > 0.05:
            continue
        fitted = curves.beta.alpha + curves.beta.beta
        found.append(kappa_base + (fitted - kappa_base) / gap)
        counts.append(int(rows.sum()))
        names.append(f"{name} {found[-1]:.2f}")
    if not found:
        raise InputError(
            "--kappa-max: no class of the clips has a Beta fit in the schedule and"
            " scores that differ; give --kappa-max (8 is common)"
        )
    value = float(np.average(found, weights=counts))
    note = f"kappa_max {value:.2f} from the schedule's fits ({', '.join(names)})"
    if value < kappa_base:
        note += f"; below kappa_base, {kappa_base:g} is used"
    return max(value, kappa_base), note


def make_sampler(
    name: str,
    *,
    schedule: BandSchedule | None = None,
    base: Literal["uniform", "logit_normal"] = "uniform",
    logit_mean: float = 0.0,
    logit_std: float = 1.0,
    shift: float | None = None,
    space: Literal["u", "sigma"] = "u",
    kappa_base: float | None = None,
    kappa_max: float | None = None,
    order: Literal["clip", "level"] | None = None,
    sigma_range: tuple[float, float] = (0.0, 1.0),
) -> TimestepSampler:
    """Build a timestep sampler.

    Args:
        name: One of `SAMPLERS`.
        schedule: Band schedule, for ``bands`` and ``mixture``.
        base: Base density; ``logit_normal`` as a name sets it.
        logit_mean: Mean of logit(u) of a logit-normal base.
        logit_std: Its deviation.
        shift: Timestep shift; the schedule's, else 1.
        space: ``u``: densities are of u and the shift follows; ``sigma``: no shift.
        kappa_base: Concentration of ``beta`` at equal scores; by default 2 for a
            uniform base, 4 for a logit-normal one.
        kappa_max: Concentration at ``|mq - vq| = 1``.
        order: ``clip`` or ``level`` first; by default ``level`` for ``mixture``.
        sigma_range: Levels trained.

    Returns:
        The sampler.

    Raises:
        InputError: If the name is unknown or something it needs is missing.
    """
    if name not in SAMPLERS:
        raise InputError(f"--sampler {name}: choose from {', '.join(SAMPLERS)}")
    if name in ("bands", "mixture") and schedule is None:
        raise InputError(
            f"--sampler {name}: needs --schedule bands.json (made by tqd_probe.gradsim)"
        )
    if name == "mixture" and order == "clip":
        raise InputError(
            "--order clip: the mixture draws the level first; leave it out"
        )
    if shift is None:
        shift = schedule.noise.shift if schedule is not None else 1.0
    kind = name if name in ("uniform", "logit_normal") else base
    density = BaseDensity(
        kind,  # type: ignore[arg-type]
        logit_mean,
        logit_std,
        shift if space == "u" else 1.0,
    )
    options: dict[str, Any] = {"sigma_range": sigma_range}
    if name == "mixture":
        return MixtureSampler(density, schedule, **options)  # type: ignore[arg-type]
    options["order"] = order or "clip"
    if name == "bands":
        return BandSampler(density, schedule, **options)  # type: ignore[arg-type]
    if name == "beta":
        if kappa_max is None:
            raise InputError(
                "--sampler beta: needs --kappa-max (8 is common), or a --schedule whose"
                " fits give it"
            )
        kappa_base = KAPPA_BASE[base] if kappa_base is None else kappa_base
        return BetaSampler(density, kappa_base, kappa_max, **options)
    return BaseSampler(density, **options)
