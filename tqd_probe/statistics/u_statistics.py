"""U-statistics over clips: means over pairs of different clips, and their covariances.

Pairs of different clips only, so that the noise of a clip's own gradient never counts
as signal (Hoeffding, 1948). Clips are the units: leaving clips out tells how far a
statistic would move with other clips. The jackknife variance of a U-statistic of degree
two is too large, up to twice, where noise outweighs signal (Efron and Stein, 1981), and
the bootstrap's up to three times. The terms of second order that they count too often
are known and subtracted; what remains is unbiased whatever the signal, but
uncertain itself, so a share of the jackknife's is its lower limit. What was tried
instead and how often each covers the truth: `analyses/intervals/coverage.py`.

All functions but `u_statistic` take leading batch dimensions.
"""

from __future__ import annotations

import numpy as np


def u_statistic(gram: np.ndarray) -> float:
    """Average a matrix of products over pairs of different clips.

    Args:
        gram: Products ``[N, N]``, rows and columns the same clips, N at least 2.

    Returns:
        ``1 / (N (N - 1)) sum_{i != j} gram_ij``.
    """
    count = len(gram)
    return float((gram.sum() - np.trace(gram)) / (count * (count - 1)))


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


def least_share(clips: int) -> float:
    """Return the lower limit of a variance estimate, as a share of the jackknife's.

    The true variance is between half of the jackknife's and all of it. The unbiased
    estimate may be far too low by chance, and the interval too narrow: so it is not
    taken below this share. Of the shares tried, among them four fifths for every number
    of clips, intervals with this one cover best (`analyses/intervals/coverage.py`).

    Args:
        clips: Number of clips N.

    Returns:
        ``1 - 1 / sqrt(N)``.
    """
    return float(1 - 1 / np.sqrt(clips))


def covariances(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the covariance of several U-statistics of the same clips.

    With ``r_i`` the sums of rows and D the sum of ``A_ij B_kl`` over four different
    clips, ``U_A U_B - D / (N (N-1) (N-2) (N-3))`` is unbiased.

    Args:
        kernels: K symmetric kernels with empty diagonals ``[..., K, N, N]``, N at
            least 4.

    Returns:
        Unbiased covariances ``[..., K, K]``, which may lack positive definiteness,
        and the lower limit: `least_share` of those of the jackknife, which are
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
