"""Errors of U-statistics over clips, and the intervals that follow from them.

Clips are the units: leaving clips out tells how far a statistic would move with other
clips. The jackknife variance of a U-statistic of degree two is too large, up to twice,
where noise outweighs signal (Efron and Stein, 1981), and the bootstrap's up to three
times. The terms of second order that they count too often are known (Hoeffding, 1948),
so they are taken off; what remains is unbiased whatever the signal, but uncertain
itself, so a share of the jackknife's is its lower limit. Ratios get Fieller's interval
(1954), which knows that the denominator is measured too. What was tried instead and how
often each covers the truth: `analyses/intervals/coverage.py`.

All functions take leading batch dimensions.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

Interval = tuple[float, float]


def least_share(clips: int) -> float:
    """Return the share of the jackknife variance that is the least to be believed.

    The truth is between half of the jackknife's and all of it, but an unbiased estimate
    that strays low closes the interval. Of the shares tried, four fifths for every
    number of clips among them, this one covers best (`analyses/intervals/coverage.py`).

    Args:
        clips: Number of clips N.

    Returns:
        ``1 - 1 / sqrt(N)``.
    """
    return float(1 - 1 / np.sqrt(clips))


def symmetric(gram: np.ndarray) -> np.ndarray:
    """Make a matrix of products a symmetric kernel with an empty diagonal.

    Args:
        gram: Products ``[..., N, N]``, rows and columns the same clips.

    Returns:
        ``(gram + gram') / 2`` without the diagonal, same shape.
    """
    count = gram.shape[-1]
    return (gram + np.swapaxes(gram, -1, -2)) / 2 * (1 - np.eye(count))


def pair_mean(kernel: np.ndarray) -> np.ndarray:
    """Average a kernel over pairs of different clips: the U-statistic.

    Args:
        kernel: Symmetric with an empty diagonal ``[..., N, N]``.

    Returns:
        ``1 / (N (N - 1)) sum_{i != j} kernel_ij``, shape ``[...]``.
    """
    count = kernel.shape[-1]
    return np.asarray(kernel.sum((-1, -2)) / (count * (count - 1)))


def covariances(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the covariance of several U-statistics of the same clips.

    With ``r_i`` the sums of rows and D the sum of ``A_ij B_kl`` over four different
    clips, ``U_A U_B - D / (N (N-1) (N-2) (N-3))`` is unbiased.

    Args:
        kernels: K symmetric kernels with empty diagonals ``[..., K, N, N]``, N at
            least 4.

    Returns:
        Unbiased covariances ``[..., K, K]``, which may lack positive definiteness,
        and the least to be believed: `least_share` of those of the jackknife, which are
        positive semidefinite and too large.

    Raises:
        ValueError: If there are fewer than 4 clips.
    """
    count = kernels.shape[-1]
    if count < 4:
        raise ValueError(f"{count} clips: at least 4 are needed for an error")
    rows = kernels.sum(-1)
    total = rows.sum(-1)
    flat = kernels.reshape(*kernels.shape[:-2], count * count)
    by_row = rows @ np.swapaxes(rows, -1, -2)
    by_pair = flat @ np.swapaxes(flat, -1, -2)
    square = total[..., :, None] * total[..., None, :]
    pairs = count * (count - 1)
    apart = (square - 4 * by_row + 2 * by_pair) / (pairs * (count - 2) * (count - 3))
    unbiased = square / pairs**2 - apart
    moved = rows - rows.mean(-1, keepdims=True)
    jackknife = 4 / (pairs * (count - 2) ** 2) * (moved @ np.swapaxes(moved, -1, -2))
    return unbiased, least_share(count) * jackknife


def two_sample_covariances(
    golden: np.ndarray, cross: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the covariance of statistics of two unrelated sets of clips.

    Statistic k is ``mean golden_k(i, i') + mean cross_k(i, j) + mean other_k(j, j')``.
    The part of each set is that of a U-statistic whose clips also carry their mean
    product with the other set; the residual of those means is counted once too often
    and taken off.

    Args:
        golden: Kernels of the first set ``[..., K, N, N]``.
        cross: Products of the first set with the second ``[..., K, N, M]``.
        other: Kernels of the second set ``[..., K, M, M]``.

    Returns:
        Unbiased covariances ``[..., K, K]`` and the least to be believed.
    """
    first, second = cross.shape[-2:]
    along, down = cross.mean(-1), cross.mean(-2)
    parts = [
        covariances(
            symmetric(golden + (along[..., :, None] + along[..., None, :]) / 2)
        ),
        covariances(symmetric(other + (down[..., :, None] + down[..., None, :]) / 2)),
    ]
    middle = cross.mean((-1, -2))[..., None, None]
    rest = cross - along[..., :, None] - down[..., None, :] + middle
    flat = rest.reshape(*rest.shape[:-2], first * second)
    residual = flat @ np.swapaxes(flat, -1, -2) / ((first - 1) * (second - 1))
    unbiased = parts[0][0] + parts[1][0] - residual / (first * second)
    return unbiased, parts[0][1] + parts[1][1]


def sketch_covariance(
    splits: np.ndarray, reach: float, confidence: float
) -> np.ndarray:
    """Estimate the covariance that a sketch adds to statistics of its products.

    The parts of a sketch are sketches by themselves and independent, so the statistics
    they give scatter by their error. It does not depend on which clips were drawn and
    is added to the covariance over clips. Few parts: it is made larger where Student's
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
    wider = max(1.0, quantile(count, confidence) / reach)
    return gaps.T @ gaps / (count * (count - 1)) * wider**2


def quantile(clips: int, confidence: float) -> float:
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
        least: The least variance to be believed ``[...]``.
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
        least: The least covariances to be believed ``[..., 2, 2]``.
        reach: Standard errors to each side.

    Returns:
        Lower and upper bounds ``[...]``; NaN where the denominator cannot be told
        from zero, so that no bounded interval exists.
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
