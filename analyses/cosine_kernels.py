"""A cosine and what every pair of clips does to it, to first order.

Means and differences of cosines of the same clips are taken kernel by kernel, so that
what the clips have in common cancels before an interval is formed.
"""

from __future__ import annotations

import numpy as np

from tqd_probe.gradients.gram import LevelGram
from tqd_probe.statistics.intervals import mean_interval, student_quantile
from tqd_probe.statistics.u_statistics import covariances, pair_mean, symmetric


def cosine_kernel(gram: LevelGram, condition: int) -> tuple[float, np.ndarray] | None:
    """Return a degradation's cosine with golden and its first-order kernel.

    Args:
        gram: Matrices of one level, one module group.
        condition: The degradation's number, from 1 on.

    Returns:
        The debiased cosine and ``[N, N]``; None where it is undefined.
    """
    golden, cross, own = (
        symmetric(gram.products[0, a, :, b, :])
        for a, b in ((0, 0), (0, condition), (condition, condition))
    )
    gg, gd, dd = (float(pair_mean(kernel)) for kernel in (golden, cross, own))
    if min(gg, dd) <= 0:
        return None
    bottom = np.sqrt(gg * dd)
    cosine = gd / bottom
    return cosine, cross / bottom - cosine / 2 * (golden / gg + own / dd)


def kernel_interval(
    value: float, kernel: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Return the interval over clips of a value with a first-order kernel.

    Args:
        value: The value.
        kernel: ``[N, N]``.
        confidence: For example 0.95.

    Returns:
        Low and high.
    """
    unbiased, least = covariances(kernel[None])
    reach = student_quantile(len(kernel), confidence)
    low, high = mean_interval(np.array(value), unbiased[0, 0], least[0, 0], reach)
    return float(low), float(high)
