"""Curves over levels that a test makes up."""

import numpy as np

from tqd_probe.schedules.bands import LevelCurves

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def curves(cosine, half=0.0, ratio=1.0, resolved=True, levels=LEVELS, ratio_ci=None):
    """Curves with intervals of a given half-width; scalars hold at all levels."""
    cosine, half, ratio = (
        np.broadcast_to(np.asarray(each, float), levels.shape)
        for each in (cosine, half, ratio)
    )
    if ratio_ci is None:
        ratio_ci = np.stack([ratio, ratio], 1)
    return LevelCurves(
        levels=levels,
        cosine=cosine,
        cosine_ci=np.stack([cosine - half, cosine + half], 1),
        norm_ratio=ratio,
        norm_ratio_ci=np.asarray(ratio_ci, float),
        resolved=np.broadcast_to(np.asarray(resolved), levels.shape),
    )


def covered(grid, intervals):
    """Which places of a grid lie in one of the intervals."""
    inside = np.zeros(len(grid), bool)
    for low, high in intervals:
        inside |= (low <= grid) & (grid <= high)
    return inside


def random_curves(seed):
    """Curves whose levels are of all kinds: used, avoided, undecided, unresolved."""
    rng = np.random.default_rng(seed)
    ratio = np.exp2(rng.uniform(-1.5, 1.5, 5))
    return curves(
        cosine=rng.uniform(0.7, 1.05, 5),
        half=rng.uniform(0, 0.2, 5),
        ratio=ratio,
        resolved=rng.random(5) < 0.8,
        ratio_ci=ratio[:, None] * np.exp2([[-0.3, 0.3]]),
    )
