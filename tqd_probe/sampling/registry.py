"""Timestep samplers by name: the one place where a sampler is built.

`base` is the density of levels before anything is known about the clip. `space` is the
variable that densities are stated in: ``u``, which the family draws in training, and
its timesteps' levels and the timestep shift follow
(`tqd_probe.sampling.base_density.BaseDensity`), or ``sigma``, and neither is applied.
A measured base is the schedule's `density`, always of sigma.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.quality_beta import KAPPA_BASE, KAPPA_MAX
from tqd_probe.sampling.bands import BandSampler
from tqd_probe.sampling.base_density import BaseDensity, Density, MeasuredDensity
from tqd_probe.sampling.beta import BetaSampler
from tqd_probe.sampling.mixture import MixtureSampler
from tqd_probe.sampling.names import BY_SCHEDULE, SAMPLERS, BaseName
from tqd_probe.sampling.timestep_sampler import TimestepSampler
from tqd_probe.sampling.unconditional import UnconditionalSampler
from tqd_probe.schedules.band_schedule import BandSchedule

__all__ = ["SAMPLERS", "make_sampler"]


def make_sampler(
    name: str,
    *,
    schedule: BandSchedule | None = None,
    base: BaseName = "uniform",
    logit_mean: float = 0.0,
    logit_std: float = 1.0,
    shift: float | None = None,
    space: Literal["u", "sigma"] = "u",
    kappa_base: float | None = None,
    kappa_max: float | None = None,
    order: Literal["clip", "level"] | None = None,
    sigma_range: tuple[float, float] = (0.0, 1.0),
    timesteps: np.ndarray | None = None,
) -> TimestepSampler:
    """Build a timestep sampler.

    Args:
        name: One of `SAMPLERS`.
        schedule: Band schedule, for ``bands``, ``mixture`` and a measured base.
        base: Base density; ``uniform``, ``logit_normal`` and ``measured`` as a name
            set it.
        logit_mean: Mean of logit(u) of a logit-normal base.
        logit_std: Its deviation.
        shift: Timestep shift; the schedule's, else 1.
        space: ``u``: densities are of u, timesteps and shift follow; ``sigma``: of
            sigma itself.
        kappa_base: Concentration of ``beta`` at equal scores; by default 2 for a
            uniform base, 4 for a logit-normal one.
        kappa_max: Concentration of ``beta`` at ``|mq - vq| = 1``; by default 8.
        order: ``clip`` or ``level`` first; by default ``level`` for ``mixture``.
        sigma_range: Levels trained.
        timesteps: sigma of the timesteps of a family that trains discrete ones, rising
            ``[T]`` (`VideoModel.timestep_levels`).

    Returns:
        The sampler.

    Raises:
        InputError: If the name is unknown or something it needs is missing.
    """
    if name not in SAMPLERS:
        raise InputError(f"--sampler {name}: choose from {', '.join(SAMPLERS)}")
    kind = name if name in get_args(BaseName) else base
    if schedule is None and (name in BY_SCHEDULE or kind == "measured"):
        option = f"--sampler {name}" if name in BY_SCHEDULE else f"--base {base}"
        raise InputError(
            f"{option}: needs --schedule bands.json (made by tqd_probe.gradsim)"
        )
    if name == "beta" and base == "measured":
        raise InputError(
            "--base measured: --sampler beta draws u by the clip's scores alone; leave"
            " out --base, or use --sampler measured, bands or mixture"
        )
    if name == "mixture" and order == "clip":
        raise InputError(
            "--order clip: the mixture draws the level first; leave it out"
        )
    if shift is None:
        shift = schedule.noise.shift if schedule is not None else 1.0
    density: Density
    if kind == "measured":
        density = measured_density(schedule)  # type: ignore[arg-type]
    else:
        density = BaseDensity(
            kind,  # type: ignore[arg-type]
            logit_mean,
            logit_std,
            shift if space == "u" else 1.0,
            timesteps if space == "u" else None,
        )
    options: dict[str, Any] = {"sigma_range": sigma_range}
    if name == "mixture":
        return MixtureSampler(density, schedule, **options)  # type: ignore[arg-type]
    options["order"] = order or "clip"
    if name == "bands":
        return BandSampler(density, schedule, **options)  # type: ignore[arg-type]
    if name == "beta":
        return BetaSampler(
            density,  # type: ignore[arg-type]
            kappa_base=KAPPA_BASE[base] if kappa_base is None else kappa_base,
            kappa_max=KAPPA_MAX if kappa_max is None else kappa_max,
            **options,
        )
    return UnconditionalSampler(density, **options)


def measured_density(
    schedule: BandSchedule, source: str = "--schedule"
) -> MeasuredDensity:
    """Return the density of levels that a schedule measured on golden clips.

    Args:
        schedule: The schedule.
        source: Its file, for the message.

    Returns:
        The density.

    Raises:
        InputError: If the schedule has none.
    """
    if schedule.golden_density is None:
        raise InputError(
            f"{source}: density: null or missing, which a measured base needs; measure"
            " again with tqd_probe.gradsim, with enough clips to resolve two levels"
        )
    levels, values = schedule.noise.levels, schedule.golden_density.values
    return MeasuredDensity(np.array(levels), np.array(values))
