"""How many clips make bands independent of the number of clips.

A level is used where the cosine reaches `cos_min` and its lower bound ``cos_min -
delta``. Where half the interval is narrower than `delta`, the first condition implies
the second, and more clips move the estimate alone. The half-width falls as ``1 /
sqrt(N)``, so that of N clips says how many it takes.
"""

from __future__ import annotations

import math

import numpy as np

from tqd_probe.schedules.bands import CosineCriterion, LevelCurves


def clips_for_stable_bands(
    curves: LevelCurves, criterion: CosineCriterion, clips: np.ndarray
) -> int | None:
    """Estimate how many clips make the bands independent of their number.

    Counted are the resolved levels at which the cosine reaches `cos_min` and its lower
    bound does not: only there does the width of the interval decide about *use*.

    Args:
        curves: What was measured.
        criterion: The thresholds.
        clips: Clips measured at each level ``[L]``.

    Returns:
        Clips at which half the interval is narrower than `delta` at every such level;
        the number measured where that suffices. None where no number does (a `delta`
        of 0) or no interval is known.
    """
    low, high = curves.cosine_ci.T
    known = curves.resolved & np.isfinite(low) & np.isfinite(high)
    if criterion.delta <= 0 or not known.any():
        return None
    measured = int(clips[known].max())
    with np.errstate(invalid="ignore"):
        near = known & (low < criterion.cos_min) & (criterion.cos_min <= curves.cosine)
    if not near.any():
        return measured
    half = (high[near] - low[near]) / 2
    wanted = clips[near] * (half / criterion.delta) ** 2
    return max(measured, math.ceil(float(wanted.max()) - 1e-6))
