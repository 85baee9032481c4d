"""A density of levels for every clip, as a probe of golden clips suggests it.

Levels are trained in proportion to the norm of the mean golden gradient, ``sqrt(U_gg)``
(debiased, in the metric of the probe): more where golden clips pull the weights in one
direction, less where their gradients are small or cancel. No class enters. On ``tiny``
it beats uniform and logit-normal levels (`analyses/tables`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tqd_probe.core.json_models import StrictModel

LEAST_RESOLVED = 2  # levels that a density rests on
TOLERANCE = 1e-3  # of the integral of a density read from a file
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]  # 0: never trained


class GoldenDensity(StrictModel):
    """Density of sigma at the schedule's levels, whatever the class of the clip."""

    of: Literal["golden_signal"] = Field(
        description="What it is in proportion to: the norm of the mean golden gradient."
    )
    values: list[Positive] = Field(
        min_length=1,
        description="Density of sigma per level: linear between levels, constant"
        " outside of them, integrating to 1 over [0, 1].",
    )


def density_knots(
    levels: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a density bends, from 0 to 1, and its values there.

    Args:
        levels: Levels, rising ``[L]``.
        values: The density at them ``[L]``.

    Returns:
        Two arrays ``[L + 2]``; shorter by the ends that are levels.
    """
    places = np.union1d(levels, [0.0, 1.0])
    return places, np.interp(places, levels, values)


def integral(levels: np.ndarray, values: np.ndarray) -> float:
    """Return the integral over [0, 1] of a density stated at levels, see above."""
    places, at = density_knots(levels, values)
    return float(((at[1:] + at[:-1]) / 2 * np.diff(places)).sum())


def normalised(levels: np.ndarray, values: np.ndarray) -> GoldenDensity:
    """Return the density in proportion to values at levels, both ``[L]``."""
    scaled = values / integral(levels, values)
    return GoldenDensity(of="golden_signal", values=scaled.tolist())


def golden_density(
    levels: np.ndarray, signal: np.ndarray, resolved: np.ndarray
) -> GoldenDensity | None:
    """Return the density of levels in proportion to the golden signal.

    A level that is not resolved takes the value between its resolved neighbours: its
    own may be 0 by chance, and would then never be trained.

    Args:
        levels: Levels, rising ``[L]``.
        signal: ``U_gg`` at each, NaN where undefined ``[L]``.
        resolved: Whether it is told from 0 ``[L]``.

    Returns:
        The density; None with fewer than two resolved levels.
    """
    known = resolved & (np.nan_to_num(signal) > 0)
    if known.sum() < LEAST_RESOLVED:
        return None
    at = np.interp(levels, levels[known], np.sqrt(signal[known]))
    return normalised(levels, at)
