"""TQD's Beta distribution of a clip's noise level, from its two scores.

Equations of arXiv 2603.25527, with motion quality mq and visual quality vq in [0, 1]:

    mu = 0.5 + 0.5 (mq - vq)
    kappa = kappa_base + (kappa_max - kappa_base) |mq - vq|
    u ~ Beta(mu kappa, (1 - mu) kappa),   kept with probability max(mq, vq)

The timestep sampler ``beta`` draws from it; a mixture's report compares with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# Concentration at equal scores: Beta(1, 1) is uniform, Beta(2, 2) is near logit-normal.
KAPPA_BASE = {"uniform": 2.0, "logit_normal": 4.0}
# Concentration at |mq - vq| = 1 where no schedule gives one. The paper states no value;
# 8 is the one in use where its formula has been implemented (krea2).
KAPPA_MAX = 8.0


def beta_parameters(
    mq: ArrayLike, vq: ArrayLike, kappa_base: float, kappa_max: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameters of clips' Beta distributions, as published.

    Args:
        mq: Motion quality in [0, 1] ``[...]``.
        vq: Visual quality in [0, 1] ``[...]``.
        kappa_base: Concentration at equal scores.
        kappa_max: Concentration at ``|mq - vq| = 1``.

    Returns:
        alpha and beta ``[...]``; one of them is 0 at ``|mq - vq| = 1``.
    """
    gap = np.asarray(mq, dtype=np.float64) - np.asarray(vq, dtype=np.float64)
    mu = 0.5 + 0.5 * gap
    kappa = kappa_base + (kappa_max - kappa_base) * np.abs(gap)
    return mu * kappa, (1 - mu) * kappa


def keep_probability(mq: ArrayLike, vq: ArrayLike) -> np.ndarray:
    """Return the probability that a clip, once drawn, is used: ``max(mq, vq)``.

    Args:
        mq: Motion quality in [0, 1] ``[...]``.
        vq: Visual quality in [0, 1] ``[...]``.

    Returns:
        Probabilities ``[...]``.
    """
    return np.maximum(mq, vq)
