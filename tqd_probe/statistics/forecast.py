"""How wide an interval would be with other numbers of clips and draws.

The variance of a U-statistic has a part that falls as 1 / N and one that falls as
1 / N^2 (Hoeffding, 1948): ``4 (N-2) z1 / (N (N-1)) + 2 z2 / (N (N-1))`` with z1 the
variance of a clip's mean product and z2 that of a single product. Both are estimated
from a pilot. The error of a sketch stays as it is, however many clips there are. More
draws shrink only the noise of draws: z1 is linear in the variance of a clip's gradient,
z2 quadratic.

A pilot is small, and so its forecast has an error of its own; the runs it forecasts
scatter about their median as well. Leaving out the pilot's clips one by one estimates
both (a jackknife of the logarithm of the width), as a prediction interval; how often it
holds: `analyses/intervals/plan_synthetic.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.statistics.golden_signal import split_variance
from tqd_probe.statistics.intervals import (
    mean_interval,
    ratio_interval,
    sketch_covariance,
    student_quantile,
)
from tqd_probe.statistics.semidefinite import positive_part
from tqd_probe.statistics.similarity import LevelStatistics
from tqd_probe.statistics.u_statistics import covariances, least_share, symmetric

MOST_CLIPS = 1_000_000


@dataclass(frozen=True)
class Forecast:
    """What a pilot predicts of the cosine of one class at one level.

    Attributes:
        numerator: ``U_gd``, the numerator of the cosine.
        denominator: ``sqrt(U_gg U_dd)``; NaN if undefined.
        signal: ``U_gg``.
        mean_part: z1 of numerator, denominator and signal ``[3, 3]``.
        pair_part: z2 of them ``[3, 3]``.
        variance_clips: Variance of gradients between clips.
        variance_draws: Variance between draws of a clip.
        draws: Draws per clip in the pilot.
        splits: Numerator, denominator and signal by each part of the sketch alone
            ``[S, 3]``; None for exact gradients.
        left_out: Forecasts of the pilot without each of its clips.
    """

    numerator: float
    denominator: float
    signal: float
    mean_part: np.ndarray
    pair_part: np.ndarray
    variance_clips: float
    variance_draws: float
    draws: int
    splits: np.ndarray | None = None
    left_out: tuple[Forecast, ...] = ()

    def covariance(self, clips: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
        """Predict the covariances that a run would find.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.

        Returns:
            Unbiased covariances of top, bottom and signal ``[3, 3]``, and the least to
            be believed.
        """
        between = max(self.variance_clips, 0.0)
        pilot = between + self.variance_draws / self.draws
        share = (between + self.variance_draws / draws) / pilot if pilot > 0 else 1.0
        one, two = self.mean_part * share, self.pair_part * share**2
        rest, pairs = two - 2 * one, clips * (clips - 1)
        unbiased = (4 * (clips - 2) * one + 2 * two) / pairs
        jackknife = 4 * one / clips + 4 * rest / pairs
        return unbiased, least_share(clips) * jackknife

    def with_sketch(
        self, clips: int, draws: int, confidence: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Predict the covariances with the sketch's own error.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the interval.

        Returns:
            Unbiased and least covariances ``[3, 3]``, and the interval's reach.
        """
        unbiased, least = self.covariance(clips, draws)
        reach = student_quantile(clips, confidence)
        if self.splits is not None:
            more = sketch_covariance(self.splits, reach, confidence)
            unbiased, least = unbiased + more, least + more
        return unbiased, least, reach

    def width(self, clips: int, draws: int, confidence: float) -> float:
        """Predict the width of the cosine's interval.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the interval.

        Returns:
            The width; NaN where the interval would be unbounded.
        """
        if not np.isfinite(self.denominator):
            return float("nan")
        unbiased, least, reach = self.with_sketch(clips, draws, confidence)
        low, high = ratio_interval(
            np.array(self.numerator),
            np.array(self.denominator),
            unbiased[:2, :2],
            least[:2, :2],
            reach,
        )
        return float(high - low)

    def prediction_interval(
        self, clips: int, draws: int, confidence: float
    ) -> tuple[float, float]:
        """Predict between which widths the interval of a single run will come out.

        The logarithm of the width has the pilot's error and that of the run, which is
        the same variance times pilot clips over clips.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the cosine's interval, and of this prediction.

        Returns:
            Least and largest width; NaN where the forecast rests on a single clip of
            the pilot.
        """
        width = self.width(clips, draws, confidence)
        others = [each.width(clips, draws, confidence) for each in self.left_out]
        count = len(others)
        if count < 2:
            return float("nan"), float("nan")
        logs = np.log(others)
        variance = (count - 1) / count * ((logs - logs.mean()) ** 2).sum()
        error = np.sqrt(variance * (1 + count / clips))
        reach = student_quantile(count, confidence) * error
        return float(width * np.exp(-reach)), float(width * np.exp(reach))

    def resolves(self, clips: int, draws: int, confidence: float) -> bool:
        """Predict whether golden gradients would be resolved.

        Args:
            clips: Clips of the run.
            draws: Draws per clip.
            confidence: Of the intervals.

        Returns:
            True if the signal's interval would lie above 0.
        """
        unbiased, least, reach = self.with_sketch(clips, draws, confidence)
        low, _ = mean_interval(
            np.array(self.signal),
            unbiased[2, 2],
            least[2, 2],
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


def forecast(statistics: LevelStatistics, versions: list[int]) -> Forecast:
    """Estimate from a pilot what intervals of a class would be.

    Args:
        statistics: The pilot's statistics of a level.
        versions: Indices of the degradations the class pools.

    Returns:
        The forecast.
    """
    grams = [symmetric(gram) for gram in statistics.class_grams(versions)]
    splits, draws = statistics.class_splits(versions), statistics.draws[0]
    clips = range(len(grams[0]))
    enough = len(grams[0]) > 4  # covariances need four
    kept = [[i for i in clips if i != j] for j in clips] if enough else []
    left_out = tuple(
        _fit_forecast([gram[np.ix_(rows, rows)] for gram in grams], draws[rows], splits)
        for rows in kept
    )
    return replace(_fit_forecast(grams, draws, splits), left_out=left_out)


def _fit_forecast(
    kernels: list[np.ndarray], draws: np.ndarray, splits: np.ndarray | None
) -> Forecast:
    """Estimate a forecast from symmetric kernels gg, gd, dd and products of draws."""
    gg, gd, dd = kernels
    count = len(gg)
    pairs = count * (count - 1)
    signal, top, own = (float(kernel.sum() / pairs) for kernel in (gg, gd, dd))
    if signal <= 0 or own <= 0:
        bottom, lower, splits = float("nan"), np.zeros_like(gg), None
    else:
        bottom = float(np.sqrt(signal * own))
        first, second = np.sqrt(own / signal) / 2, np.sqrt(signal / own) / 2
        lower = first * gg + second * dd
        if splits is not None:  # U_gg, U_gd, U_dd to top, bottom, signal
            change = np.array([[0, 1, 0], [first, 0, second], [1, 0, 0]])
            splits = splits @ change.T
    found = np.stack([gd, lower, gg])
    unbiased, _ = covariances(found)
    means = found.sum((-1, -2)) / pairs
    flat = found.reshape(3, -1)
    # Products of means, less their own covariance, estimate products of truths.
    two = flat @ flat.T / pairs - (np.outer(means, means) - unbiased)
    one = (unbiased * pairs - 2 * two) / (4 * (count - 2))
    mean_part, _ = positive_part(one)
    pair_part, _ = positive_part(two)
    variance_clips, variance_draws = split_variance(draws, signal)
    return Forecast(
        numerator=top,
        denominator=bottom,
        signal=signal,
        mean_part=mean_part,
        pair_part=pair_part,
        variance_clips=variance_clips,
        variance_draws=variance_draws,
        draws=draws.shape[-1],
        splits=splits,
    )
