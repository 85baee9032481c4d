"""How the gradients of degraded clips compare with golden ones, without noise bias.

With N clips, sums run over pairs of *different* clips only (U-statistics; Hoeffding,
1948), so that the noise of a clip's own gradient never counts as signal:

    U_cd = 1 / (N (N - 1)) sum_{i != j} <g_i^c, g_j^d>
    cosine = U_gd / sqrt(U_gg U_dd),   norm_ratio = sqrt(U_dd / U_gg)
    bias2 = U_gg - 2 U_gd + U_dd

Unpaired classes have clips of their own: then U_gd is a mean over all pairs. Intervals
leave out clips, never draws; see `u_statistics`. A sketch adds an error that does not
depend on the clips; it is estimated from the parts of the sketch and added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.statistics.golden_signal import GoldenLevel, describe_golden
from tqd_probe.statistics.intervals import (
    Interval,
    mean_interval,
    ratio_interval,
    sketch_covariance,
    student_quantile,
)
from tqd_probe.statistics.u_statistics import (
    covariances,
    symmetric,
    two_sample_covariances,
    u_statistic,
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


class LevelStatistics:
    """Statistics of one noise level, from its Gram matrices."""

    def __init__(self, gram: LevelGram, group: int, *, confidence: float) -> None:
        """Prepare the statistics of one module group.

        Args:
            gram: The level's Gram matrices; version 0 is golden.
            group: Index of the module group.
            confidence: Of the intervals, such as 0.95.
        """
        self.products = gram.products[group]
        self.draws = gram.draws[group]
        self.losses = gram.losses
        self.others = None if gram.others is None else gram.others[group]
        self.among = None if gram.among is None else gram.among[group]
        self.splits = None if gram.splits is None else gram.splits[group]
        of_others = gram.others_splits
        self.others_splits = None if of_others is None else of_others[group]
        self.confidence = confidence
        self.clips = self.products.shape[1]
        self._golden = self.products[0, :, 0, :]

    def class_grams(
        self, versions: list[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the products that a class of degraded copies is compared by.

        Args:
            versions: Indices of the degradations the class pools.

        Returns:
            Golden with golden, golden with the class, the class with itself, each
            ``[N, N]``; a clip's class gradient is the mean over its degradations.
        """
        mixed = self.products[0][:, versions, :].mean(1)
        own = self.products[np.ix_(versions, range(self.clips), versions)]
        return self._golden, mixed, own.mean((0, 2))

    def compare(self, versions: list[int]) -> Similarity:
        """Compare a class of degraded copies with golden.

        Args:
            versions: Indices of the degradations the class pools; a clip's class
                gradient is the mean over them.

        Returns:
            The comparison.
        """
        _, mixed, own = grams = self.class_grams(versions)
        kernels = np.stack([symmetric(gram) for gram in grams])
        count = self.clips * (self.clips - 1)
        return _similarity(
            kernels.sum((-1, -2)) / count,
            covariances(kernels),
            student_quantile(self.clips, self.confidence),
            mixed.mean() / np.sqrt(self._golden.mean() * own.mean()),
            self.class_splits(versions),
            self.confidence,
        )

    def class_splits(self, versions: list[int]) -> np.ndarray | None:
        """Return U_gg, U_gd and U_dd by each part of the sketch alone.

        Args:
            versions: Indices of the degradations the class pools.

        Returns:
            ``[S, 3]``; None for exact gradients.
        """
        if self.splits is None:
            return None
        own = self.splits[:, versions][:, :, versions].mean((1, 2))
        mixed = self.splits[:, 0, versions].mean(1)
        return np.stack([self.splits[:, 0, 0], mixed, own], 1)

    def compare_unpaired(self, rows: list[int], place: int = 0) -> Similarity:
        """Compare a class of clips of its own with golden.

        The interval holds both what other golden clips and what other clips of the
        class would change, so it is wider than that of degraded copies.

        Args:
            rows: Indices of the class's clips among the unpaired ones, at least 4;
                with fewer than `LEAST_CLIPS` the intervals are undefined.
            place: Number of the class among the unpaired ones.

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
        reach = student_quantile(least, self.confidence)
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
            self._unpaired_splits(place),
            self.confidence,
        )
        if least >= LEAST_CLIPS:
            return compared
        nothing = (float("nan"), float("nan"))
        return replace(
            compared, cosine_ci=nothing, norm_ratio_ci=nothing, bias2_ci=nothing
        )

    def _unpaired_splits(self, place: int) -> np.ndarray | None:
        if self.splits is None or self.others_splits is None:
            return None
        return np.stack([self.splits[:, 0, 0], *self.others_splits[place]], 1)

    def golden(self) -> GoldenLevel:
        """Describe the golden gradients: signal, noise, resolution.

        Returns:
            The description.
        """
        return describe_golden(
            gram=self._golden,
            draws=self.draws[0],
            loss=float(self.losses[:, :, 0].mean()),
            sketch_parts=None if self.splits is None else self.splits[:, 0, :1],
            confidence=self.confidence,
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
