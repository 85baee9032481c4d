"""How the gradients of degraded clips compare with golden ones, without noise bias.

With N clips, sums run over pairs of *different* clips only (U-statistics; Hoeffding,
1948), so that the noise of a clip's own gradient never counts as signal:

    U_cd = 1 / (N (N - 1)) sum_{i != j} <g_i^c, g_j^d>
    cosine = U_gd / sqrt(U_gg U_dd),   norm_ratio = sqrt(U_dd / U_gg)
    bias2 = U_gg - 2 U_gd + U_dd

Unpaired classes have clips of their own: then U_gd is a mean over all pairs. Intervals
leave out clips, never draws; see `intervals`. Sketched gradients add an error that does
not depend on the clips: the parts of the sketch tell it, and it is added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from tqd_probe.gradients.gram import LevelGram
from tqd_probe.statistics.intervals import (
    Interval,
    covariances,
    mean_interval,
    quantile,
    ratio_interval,
    sketch_covariance,
    symmetric,
    two_sample_covariances,
)

LEAST_CLIPS = (
    8  # intervals of fewer clips cannot be relied on: analyses/intervals/coverage.py
)


@dataclass(frozen=True)
class Similarity:
    """Comparison of one class or degradation with golden at one noise level.

    Undefined values (a square root of something not positive) are NaN.

    Attributes:
        cosine: Debiased cosine; not clipped, so an estimate may exceed 1.
        cosine_ci: Confidence interval of the cosine.
        cosine_naive: Plain cosine of the mean gradients; gradient noise shrinks it.
        norm_ratio: Debiased ratio of mean gradient norms, degraded over golden.
        norm_ratio_ci: Confidence interval of the norm ratio.
        bias2: Debiased squared distance of the mean gradients.
        bias2_ci: Confidence interval of `bias2`.
        sketch_error: Standard error of the cosine that the sketch adds; part of the
            intervals. 0 for exact gradients.
    """

    cosine: float
    cosine_ci: Interval
    cosine_naive: float
    norm_ratio: float
    norm_ratio_ci: Interval
    bias2: float
    bias2_ci: Interval
    sketch_error: float = 0.0


@dataclass(frozen=True)
class GoldenLevel:
    """What golden gradients are like at one noise level.

    Attributes:
        signal: ``U_gg``, the debiased squared norm of the mean gradient.
        signal_ci: Confidence interval of `signal`.
        snr: `signal` over the variance of one clip's gradient (mean of its draws).
        ceiling: Noise ceiling of the plain cosine: what two sets of N golden clips
            would score against each other, ``U_gg / (U_gg + variance / N)``.
        resolved: True if the interval of `signal` lies above 0 and there are at least
            `LEAST_CLIPS` clips.
        clips_to_resolve: Clips that would resolve the level by the present estimate
            (N where it is resolved); NaN if the estimate is not positive.
        variance_clips: Variance between clips.
        variance_draws: Variance between noise draws of a clip; NaN with one draw.
        loss: Mean training loss.
    """

    signal: float
    signal_ci: Interval
    snr: float
    ceiling: float
    resolved: bool
    clips_to_resolve: float
    variance_clips: float
    variance_draws: float
    loss: float


def u_statistic(gram: np.ndarray) -> float:
    """Average a matrix of products over pairs of different clips.

    Args:
        gram: Products ``[N, N]``, rows and columns the same clips, N at least 2.

    Returns:
        ``1 / (N (N - 1)) sum_{i != j} gram_ij``.
    """
    count = len(gram)
    return float((gram.sum() - np.trace(gram)) / (count * (count - 1)))


class LevelStatistics:
    """Statistics of one noise level, from its Gram matrices."""

    def __init__(self, gram: LevelGram, group: int, *, confidence: float) -> None:
        """Prepare the statistics of one module group.

        Args:
            gram: The level's Gram matrices; condition 0 is golden.
            group: Index of the module group.
            confidence: Of the intervals, such as 0.95.
        """
        self.products = gram.products[group]
        self.draws = gram.draws[group]
        self.losses = gram.losses
        self.others = None if gram.others is None else gram.others[group]
        self.among = None if gram.among is None else gram.among[group]
        self.splits = None if gram.splits is None else gram.splits[group]
        self._sketch, self._group = gram.sketch, group
        self.confidence = confidence
        self.clips = self.products.shape[1]
        self._golden = self.products[0, :, 0, :]

    def class_grams(
        self, conditions: list[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the products that a class of degraded copies is compared by.

        Args:
            conditions: Indices of the degradations the class pools.

        Returns:
            Golden with golden, golden with the class, the class with itself, each
            ``[N, N]``; a clip's class gradient is the mean over its degradations.
        """
        mixed = self.products[0][:, conditions, :].mean(1)
        own = self.products[np.ix_(conditions, range(self.clips), conditions)]
        return self._golden, mixed, own.mean((0, 2))

    def compare(self, conditions: list[int]) -> Similarity:
        """Compare a class of degraded copies with golden.

        Args:
            conditions: Indices of the degradations the class pools; a clip's class
                gradient is the mean over them.

        Returns:
            The comparison.
        """
        _, mixed, own = grams = self.class_grams(conditions)
        kernels = np.stack([symmetric(gram) for gram in grams])
        count = self.clips * (self.clips - 1)
        return _similarity(
            kernels.sum((-1, -2)) / count,
            covariances(kernels),
            quantile(self.clips, self.confidence),
            mixed.mean() / np.sqrt(self._golden.mean() * own.mean()),
            self.class_splits(conditions),
            self.confidence,
        )

    def class_splits(self, conditions: list[int]) -> np.ndarray | None:
        """Return U_gg, U_gd and U_dd by each part of the sketch alone.

        Args:
            conditions: Indices of the degradations the class pools.

        Returns:
            ``[S, 3]``; None for exact gradients.
        """
        if self.splits is None:
            return None
        own = self.splits[:, conditions][:, :, conditions].mean((1, 2))
        mixed = self.splits[:, 0, conditions].mean(1)
        return np.stack([self.splits[:, 0, 0], mixed, own], 1)

    def compare_unpaired(self, rows: list[int]) -> Similarity:
        """Compare a class of clips of its own with golden.

        The interval holds both what other golden clips and what other clips of the
        class would change, so it is wider than that of degraded copies.

        Args:
            rows: Places of the class's clips among the unpaired ones, at least 4;
                with fewer than `LEAST_CLIPS` the intervals are undefined.

        Returns:
            The comparison.

        Raises:
            ValueError: If the matrices hold no unpaired clips.
        """
        if self.others is None or self.among is None:
            raise ValueError("no unpaired clips in these matrices")
        cross = self.others[rows, 0, :].T
        own = self.among[np.ix_(rows, rows)]
        least = min(self.clips, len(rows))
        reach = quantile(least, self.confidence)
        none = np.zeros_like
        golden, other = symmetric(self._golden), symmetric(own)
        found = two_sample_covariances(
            np.stack([golden, none(golden), none(golden)]),
            np.stack([none(cross), cross, none(cross)]),
            np.stack([none(other), none(other), other]),
        )
        estimates = [u_statistic(self._golden), cross.mean(), u_statistic(own)]
        compared = _similarity(
            np.array(estimates),
            found,
            reach,
            cross.mean() / np.sqrt(self._golden.mean() * own.mean()),
            self._unpaired_splits(rows),
            self.confidence,
        )
        if least >= LEAST_CLIPS:
            return compared
        nothing = (float("nan"), float("nan"))
        return replace(
            compared, cosine_ci=nothing, norm_ratio_ci=nothing, bias2_ci=nothing
        )

    def _unpaired_splits(self, rows: list[int]) -> np.ndarray | None:
        if self.splits is None or self._sketch is None:
            return None
        pairs = self._sketch.unpaired_pair_means(self._group, rows)
        return np.stack([self.splits[:, 0, 0], *pairs], 1)

    def golden(self) -> GoldenLevel:
        """Describe the golden gradients: signal, noise, resolution.

        Returns:
            The description.
        """
        gram = self._golden
        signal = u_statistic(gram)
        unbiased, least = (x[0, 0] for x in covariances(symmetric(gram)[None]))
        reach = quantile(self.clips, self.confidence)
        if self.splits is not None:
            splits = self.splits[:, 0, :1]
            more = sketch_covariance(splits, reach, self.confidence)[0, 0]
            unbiased, least = unbiased + more, least + more
        bounds = _floats(mean_interval(np.array(signal), unbiased, least, reach))
        variance = float(np.trace(gram)) / self.clips - signal
        between, within = split_variance(self.draws[0], signal)
        resolved = self.clips >= LEAST_CLIPS and bounds[0] > 0
        wanted = clips_to_resolve(gram, signal, self.confidence)
        return GoldenLevel(
            signal=signal,
            signal_ci=bounds,
            snr=signal / variance if variance > 0 else float("nan"),
            ceiling=max(signal, 0.0) / (max(signal, 0.0) + variance / self.clips),
            resolved=resolved,
            clips_to_resolve=float(self.clips) if resolved else wanted,
            variance_clips=between,
            variance_draws=within,
            loss=float(self.losses[:, :, 0].mean()),
        )


def _similarity(
    estimates: np.ndarray,
    errors: tuple[np.ndarray, np.ndarray],
    reach: float,
    naive: float,
    splits: np.ndarray | None,
    confidence: float,
) -> Similarity:
    """Put the comparison together from U_gg, U_gd, U_dd and their covariances."""
    gg, gd, dd = estimates
    unbiased, least = errors
    error = 0.0
    if splits is not None:
        more = sketch_covariance(splits, reach, confidence)
        unbiased, least = unbiased + more, least + more
        error = _cosine_error(splits)
    nothing = (float("nan"), float("nan"))
    cosine, ratio = float("nan"), float("nan")
    cosine_ci, ratio_ci = nothing, nothing
    if gg > 0 and dd > 0:
        bottom = np.sqrt(gg * dd)
        # Changes of U_gd and, to first order, of sqrt(U_gg U_dd).
        move = np.array([[0, 1, 0], [np.sqrt(dd / gg) / 2, 0, np.sqrt(gg / dd) / 2]])
        cosine, ratio = float(gd / bottom), float(np.sqrt(dd / gg))
        cosine_ci = _floats(
            ratio_interval(
                gd, bottom, move @ unbiased @ move.T, move @ least @ move.T, reach
            )
        )
        swap = np.ix_([2, 0], [2, 0])
        squares = ratio_interval(dd, gg, unbiased[swap], least[swap], reach)
        ratio_ci = _floats(tuple(np.sqrt(np.maximum(x, 0)) for x in squares))
    gap = np.array([1.0, -2.0, 1.0])
    distance = float(gap @ estimates)
    around = mean_interval(
        np.array(distance), gap @ unbiased @ gap, gap @ least @ gap, reach
    )
    return Similarity(
        cosine=cosine,
        cosine_ci=cosine_ci,
        cosine_naive=float(naive),
        norm_ratio=ratio,
        norm_ratio_ci=ratio_ci,
        bias2=distance,
        bias2_ci=_floats(around),
        sketch_error=error,
    )


def _cosine_error(splits: np.ndarray) -> float:
    """Return the jackknife error of the cosine over the parts of a sketch."""
    count = len(splits)
    gg, gd, dd = ((splits.sum(0) - splits) / (count - 1)).T
    with np.errstate(invalid="ignore"):
        cosines = gd / np.sqrt(np.where((gg > 0) & (dd > 0), gg * dd, np.nan))
    gaps = cosines - cosines.mean()
    return float(np.sqrt((count - 1) / count * (gaps**2).sum()))


def _floats(pair: tuple[np.ndarray, ...]) -> Interval:
    return float(pair[0]), float(pair[1])


def split_variance(draws: np.ndarray, signal: float) -> tuple[float, float]:
    """Split the variance of single-draw gradients into clip and noise-draw parts.

    Args:
        draws: Products ``[N, R, R]`` of the R draws of each clip.
        signal: ``U_gg``.

    Returns:
        Variance between clips and between draws of a clip; the second is NaN, and
        the first holds both, when there is one draw per clip.
    """
    count = draws.shape[-1]
    own = np.trace(draws, axis1=-2, axis2=-1).mean() / count
    if count == 1:
        return float(own - signal), float("nan")
    total = draws.sum((-1, -2)) - np.trace(draws, axis1=-2, axis2=-1)
    across = total.mean() / (count * (count - 1))
    return float(across - signal), float(own - across)


def clips_to_resolve(gram: np.ndarray, signal: float, confidence: float) -> float:
    """Estimate how many clips would make ``U_gg`` clearly positive.

    Uses the variance of a U-statistic of degree two,
    ``Var(U) = 4 a / n + 2 b / (n (n - 1))`` with a the variance of a clip's mean
    product and b that of a single product (Hoeffding, 1948).

    Args:
        gram: Golden products ``[N, N]``.
        signal: ``U_gg``.
        confidence: Of the wanted interval.

    Returns:
        The number of clips, rounded up; NaN if `signal` is not positive.
    """
    if signal <= 0:
        return float("nan")
    count = len(gram)
    off = gram[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    single = max(float(off.var()), 0.0)
    mean_product = max(float(off.mean(1).var(ddof=1)) - single / (count - 1), 0.0)
    reach = norm.ppf((1 + confidence) / 2)
    # reach^2 (4 a / n + 2 b / n^2) = U^2, solved for n.
    a, b = 4 * mean_product * reach**2, 2 * single * reach**2
    n = (a + np.sqrt(a**2 + 4 * b * signal**2)) / (2 * signal**2)
    return float(max(count + 1, LEAST_CLIPS, np.ceil(n)))
