"""Confidence intervals of U-statistics and of their ratios.

A mean gets Student's t with the larger of two variances: the unbiased one, and a lower
limit for it (`tqd_probe.statistics.u_statistics`). A ratio gets Fieller's
interval (1954), which accounts for the error of the denominator. How often each covers
the truth: `analyses/intervals/coverage.py`.

All functions take leading batch dimensions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import t as student

Interval = tuple[float, float]


def sketch_covariance(
    splits: np.ndarray, reach: float, confidence: float
) -> np.ndarray:
    """Estimate the covariance that a sketch adds to statistics of its products.

    The parts of a sketch are sketches by themselves and independent, so the statistics
    they give vary by their error. It does not depend on which clips were drawn and
    is added to the covariance over clips. With few parts it is enlarged where Student's
    quantile for them is beyond the `reach` of the interval that it enters.

    Args:
        splits: K statistics by each of S parts alone ``[S, K]``; their means are the
            statistics.
        reach: Standard errors the interval reaches to each side.
        confidence: Of the interval, such as 0.95.

    Returns:
        Covariances ``[K, K]``.
    """
    count = len(splits)
    gaps = splits - splits.mean(0)
    wider = max(1.0, student_quantile(count, confidence) / reach)
    return gaps.T @ gaps / (count * (count - 1)) * wider**2


@cache
def student_quantile(clips: int, confidence: float) -> float:
    """Return how many standard errors an interval reaches to each side.

    Args:
        clips: Number of clips (or of parts of a sketch).
        confidence: Such as 0.95.

    Returns:
        Student's t with one degree of freedom less than clips.
    """
    return float(student.ppf((1 + confidence) / 2, clips - 1))


def mean_interval(
    estimate: np.ndarray, unbiased: np.ndarray, least: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of a U-statistic.

    Args:
        estimate: The statistic ``[...]``.
        unbiased: Its unbiased variance ``[...]``; chance may make it too small.
        least: The lower limit of the variance ``[...]``.
        reach: Standard errors to each side.

    Returns:
        Lower and upper bounds ``[...]``.
    """
    variance = np.maximum(unbiased, least)
    error = np.sqrt(np.maximum(variance, 0.0))  # below 0 by rounding alone
    return estimate - reach * error, estimate + reach * error


def ratio_interval(
    top: np.ndarray,
    bottom: np.ndarray,
    unbiased: np.ndarray,
    least: np.ndarray,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return Fieller's interval of a ratio of two statistics.

    All ratios r with ``|top - r bottom| <= reach * error(top - r bottom)``.

    Args:
        top: Numerators ``[...]``.
        bottom: Denominators ``[...]``.
        unbiased: Unbiased covariances of both ``[..., 2, 2]``.
        least: The lower limits of the covariances ``[..., 2, 2]``.
        reach: Standard errors to each side.

    Returns:
        Lower and upper bounds ``[...]``; NaN where the denominator may be
        zero, so that no bounded interval exists.
    """
    lows, highs = [], []
    for covariance in (unbiased, least):
        a = bottom**2 - reach**2 * covariance[..., 1, 1]
        b = top * bottom - reach**2 * covariance[..., 0, 1]
        c = top**2 - reach**2 * covariance[..., 0, 0]
        known = (a > 0) & (bottom > 0)
        safe = np.where(known, a, 1.0)
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        lows.append(np.where(known, (b - root) / safe, np.nan))
        highs.append(np.where(known, (b + root) / safe, np.nan))
    # The union of both sets, so that an unlucky variance cannot close the interval.
    return np.minimum(*lows), np.maximum(*highs)
