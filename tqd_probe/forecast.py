"""How wide an interval would be with other numbers of clips and draws.

The variance of a U-statistic has a part that falls as 1 / N and one that falls as
1 / N^2 (Hoeffding, 1948): ``4 (N-2) z1 / (N (N-1)) + 2 z2 / (N (N-1))`` with z1 the
variance of a clip's mean product and z2 that of a single product. Both are estimated
from a pilot. The error of a sketch stays as it is, however many clips there are. More
draws shrink only the noise of draws: z1 is linear in the variance of a clip's gradient,
z2 quadratic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.intervals import (
    LEAST_SHARE,
    covariances,
    mean_interval,
    quantile,
    ratio_interval,
    sketch_covariance,
    symmetric,
)
from tqd_probe.mixture import positive_part
from tqd_probe.similarity import LEAST_CLIPS, LevelStatistics

MOST_CLIPS = 1_000_000


@dataclass(frozen=True)
class Forecast:
    """What a pilot says of the cosine of one class at one level.

    Attributes:
        top: ``U_gd`` and
        bottom: ``sqrt(U_gg U_dd)``, whose ratio is the cosine; NaN if undefined.
        signal: ``U_gg``.
        mean_part: z1 of top, bottom and signal ``[3, 3]``.
        pair_part: z2 of them ``[3, 3]``.
        variance_clips: Variance of gradients between clips.
        variance_draws: Variance between draws of a clip.
        draws: Draws per clip in the pilot.
        splits: Top, bottom and signal by each part of the sketch alone ``[S, 3]``; None
            for exact gradients.
    """

    top: float
    bottom: float
    signal: float
    mean_part: np.ndarray
    pair_part: np.ndarray
    variance_clips: float
    variance_draws: float
    draws: int
    splits: np.ndarray | None = None

    def covariance(self, clips: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
        """Predict the covariances that a run would find.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.

        Returns:
            Unbiased and jackknife covariances of top, bottom and signal ``[3, 3]``.
        """
        between = max(self.variance_clips, 0.0)
        pilot = between + self.variance_draws / self.draws
        share = (between + self.variance_draws / draws) / pilot if pilot > 0 else 1.0
        one, two = self.mean_part * share, self.pair_part * share**2
        rest, pairs = two - 2 * one, clips * (clips - 1)
        unbiased = (4 * (clips - 2) * one + 2 * two) / pairs
        return unbiased, 4 * one / clips + 4 * rest / pairs

    def with_sketch(
        self, clips: int, draws: int, confidence: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Predict the covariances with the sketch's own error.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the interval.

        Returns:
            Unbiased and jackknife covariances ``[3, 3]``, and the interval's reach.
        """
        unbiased, jackknife = self.covariance(clips, draws)
        reach = quantile(clips, confidence)
        if self.splits is not None:
            more = sketch_covariance(self.splits, reach, confidence)
            unbiased, jackknife = unbiased + more, jackknife + more / LEAST_SHARE
        return unbiased, jackknife, reach

    def width(self, clips: int, draws: int, confidence: float) -> float:
        """Predict the width of the cosine's interval.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the interval.

        Returns:
            The width; NaN where the interval would be unbounded.
        """
        if not np.isfinite(self.bottom):
            return float("nan")
        unbiased, jackknife, reach = self.with_sketch(clips, draws, confidence)
        low, high = ratio_interval(
            np.array(self.top),
            np.array(self.bottom),
            unbiased[:2, :2],
            jackknife[:2, :2],
            reach,
        )
        return float(high - low)

    def resolves(self, clips: int, draws: int, confidence: float) -> bool:
        """Predict whether golden gradients would be resolved.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the intervals.

        Returns:
            True if the signal's interval would lie above 0.
        """
        unbiased, jackknife, reach = self.with_sketch(clips, draws, confidence)
        low, _ = mean_interval(
            np.array(self.signal),
            unbiased[2, 2],
            jackknife[2, 2],
            reach,
        )
        return bool(low > 0) and clips >= LEAST_CLIPS

    def clips_for(self, width: float, draws: int, confidence: float) -> int | None:
        """Predict the clips that resolve the level and give an interval of some width.

        Args:
            width: Wanted width.
            draws: Draws per clip.
            confidence: Of the interval.

        Returns:
            The least number, at least `LEAST_CLIPS`; None if the pilot cannot tell or
            a million do not suffice.
        """

        def enough(clips: int) -> bool:
            found = self.width(clips, draws, confidence)
            return found <= width and self.resolves(clips, draws, confidence)

        low, high = LEAST_CLIPS - 1, LEAST_CLIPS
        while not enough(high):
            low, high = high, high * 2
            if high > MOST_CLIPS:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high


def forecast(statistics: LevelStatistics, conditions: list[int]) -> Forecast:
    """Learn from a pilot what intervals of a class would be.

    Args:
        statistics: The pilot's statistics of a level.
        conditions: Indices of the degradations the class pools.

    Returns:
        The forecast.
    """
    gg, gd, dd = (symmetric(gram) for gram in statistics.class_grams(conditions))
    count = len(gg)
    pairs = count * (count - 1)
    signal, top, own = (float(kernel.sum() / pairs) for kernel in (gg, gd, dd))
    golden = statistics.golden()
    splits = statistics.class_splits(conditions)
    if signal <= 0 or own <= 0:
        bottom, lower, splits = float("nan"), np.zeros_like(gg), None
    else:
        bottom = float(np.sqrt(signal * own))
        first, second = np.sqrt(own / signal) / 2, np.sqrt(signal / own) / 2
        lower = first * gg + second * dd
        if splits is not None:  # U_gg, U_gd, U_dd to top, bottom, signal
            change = np.array([[0, 1, 0], [first, 0, second], [1, 0, 0]])
            splits = splits @ change.T
    kernels = np.stack([gd, lower, gg])
    unbiased, _ = covariances(kernels)
    means = kernels.sum((-1, -2)) / pairs
    flat = kernels.reshape(3, -1)
    # Products of means, less their own covariance, estimate products of truths.
    two = flat @ flat.T / pairs - (np.outer(means, means) - unbiased)
    one = (unbiased * pairs - 2 * two) / (4 * (count - 2))
    mean_part, _ = positive_part(one)
    pair_part, _ = positive_part(two)
    return Forecast(
        *(top, bottom, signal, mean_part, pair_part),
        *(golden.variance_clips, golden.variance_draws),
        statistics.draws.shape[-1],
        splits,
    )
