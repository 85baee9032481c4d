"""How the gradients of degraded clips compare with golden ones, without noise bias.

With N clips, sums run over pairs of *different* clips only (U-statistics; Hoeffding,
1948), so that the noise of a clip's own gradient never counts as signal:

    U_cd = 1 / (N (N - 1)) sum_{i != j} <g_i^c, g_j^d>
    cosine = U_gd / sqrt(U_gg U_dd),   norm_ratio = sqrt(U_dd / U_gg)
    bias2 = U_gg - 2 U_gd + U_dd

Intervals resample clips, never draws: bias-corrected and accelerated bootstrap
(Efron, 1987), in which a clip drawn twice is not paired with itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tqd_probe.gradients.gram import LevelGram
from tqd_probe.rng import stream

RESAMPLES = 2000
Interval = tuple[float, float]


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
        sketch_error: Standard error of the cosine that the sketch adds; part of the
            intervals. 0 for exact gradients.
    """

    cosine: float
    cosine_ci: Interval
    cosine_naive: float
    norm_ratio: float
    norm_ratio_ci: Interval
    bias2: float
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
        resolved: True if the interval of `signal` lies above 0.
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


def weighted_u_statistic(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the U-statistic under clip weights; a clip never meets itself.

    Args:
        gram: Products ``[N, N]``.
        weights: How much each clip counts, ``[B, N]``.

    Returns:
        One value per row of weights ``[B]``; NaN where fewer than two clips count.
    """
    off = gram - np.diag(np.diag(gram))
    pairs = weights.sum(1) ** 2 - (weights**2).sum(1)
    total = ((weights @ off) * weights).sum(1)
    return np.divide(total, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def resampling_weights(clips: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Draw how often each clip occurs in each bootstrap sample.

    Args:
        clips: Number of clips N.
        seed: Run seed.
        resamples: Number of samples B.

    Returns:
        Counts ``[B, N]``, rows summing to N.
    """
    rng = stream(seed, "bootstrap", clips)
    return rng.multinomial(clips, np.full(clips, 1 / clips), resamples).astype(float)


def bca_interval(
    estimate: float, resampled: np.ndarray, jackknife: np.ndarray, confidence: float
) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval (Efron, 1987).

    Args:
        estimate: The statistic on all clips.
        resampled: The statistic on bootstrap samples ``[B]``; NaN where undefined.
        jackknife: The statistic with each clip left out ``[N]``.
        confidence: Such as 0.95.

    Returns:
        Lower and upper bound; NaN when the estimate, or more than 1 in 20 of the
        resampled values, is undefined.
    """
    good = resampled[np.isfinite(resampled)]
    undefined = len(good) < 0.95 * len(resampled)
    if undefined or not np.isfinite(estimate):
        return (np.nan, np.nan)
    # Halving ties and keeping off 0 and 1 keeps the correction finite.
    below = np.mean(good < estimate) + 0.5 * np.mean(good == estimate)
    shift = norm.ppf(np.clip(below, 0.5 / len(good), 1 - 0.5 / len(good)))
    kept = jackknife[np.isfinite(jackknife)]
    gaps = kept.mean() - kept if len(kept) else np.zeros(1)
    spread = (gaps**2).sum()
    speed = (gaps**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    tail = norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    moved = shift + (shift + tail) / (1 - speed * (shift + tail))
    low, high = np.quantile(good, norm.cdf(moved))
    return (float(low), float(high))


def widened(
    interval: Interval, estimate: float, error: float, confidence: float
) -> Interval:
    """Add an independent normal error to an interval, each side in quadrature.

    Args:
        interval: Interval of the estimate without that error.
        estimate: The estimate.
        error: Standard error to add; not finite where it cannot be told.
        confidence: Of the interval, such as 0.95.

    Returns:
        The wider interval; undefined where the error is.
    """
    if not np.isfinite(error):
        return (np.nan, np.nan)
    reach = error * norm.ppf((1 + confidence) / 2)
    low, high = (abs(estimate - end) for end in interval)
    return (
        float(interval[0] - (np.hypot(low, reach) - low)),
        float(interval[1] + (np.hypot(high, reach) - high)),
    )


def split_error(leave_one_out: np.ndarray) -> float:
    """Return the jackknife's standard error over the parts of a sketch.

    Args:
        leave_one_out: A statistic with each part of the sketch left out ``[S]``.

    Returns:
        The standard error (Tukey, 1958); NaN where a value is undefined.
    """
    count = len(leave_one_out)
    gaps = leave_one_out - leave_one_out.mean()
    return float(np.sqrt((count - 1) / count * (gaps**2).sum()))


def _root_ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    good = (top > 0) & (bottom > 0)
    return np.sqrt(np.divide(top, bottom, out=np.full_like(top, np.nan), where=good))


def debiased_cosine(gd: np.ndarray, gg: np.ndarray, dd: np.ndarray) -> np.ndarray:
    """Return ``U_gd / sqrt(U_gg U_dd)``.

    Args:
        gd: Golden against degraded ``[B]``.
        gg: Golden against golden ``[B]``.
        dd: Degraded against degraded ``[B]``.

    Returns:
        Cosines ``[B]``; NaN where a squared norm is not positive.
    """
    good = (gg > 0) & (dd > 0)
    scale = np.sqrt(np.where(good, gg * dd, 1.0))
    return np.where(good, gd / scale, np.nan)


class LevelStatistics:
    """Statistics of one noise level, from its Gram matrices."""

    def __init__(
        self, gram: LevelGram, group: int, *, seed: int, confidence: float
    ) -> None:
        """Prepare the statistics of one module group.

        Args:
            gram: The level's Gram matrices; condition 0 is golden.
            group: Index of the module group.
            seed: Run seed.
            confidence: Of the intervals, such as 0.95.
        """
        self.products = gram.products[group]
        self.draws = gram.draws[group]
        self.losses = gram.losses
        self.splits = None if gram.splits is None else gram.splits[group]
        self.confidence = confidence
        self.clips = self.products.shape[1]
        self._weights = resampling_weights(self.clips, seed)
        self._leave_one_out = 1.0 - np.eye(self.clips)
        self._golden = self._all(self.products[0, :, 0, :])

    def _all(self, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """U-statistic on all clips ``[1]``, on resamples, with one clip left out."""
        whole = np.array([u_statistic(gram)])
        return (
            whole,
            weighted_u_statistic(gram, self._weights),
            weighted_u_statistic(gram, self._leave_one_out),
        )

    def _interval(self, values: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Interval:
        whole, resampled, jackknife = values
        return bca_interval(float(whole[0]), resampled, jackknife, self.confidence)

    def compare(self, conditions: list[int]) -> Similarity:
        """Compare a class with golden.

        Args:
            conditions: Indices of the degradations the class pools; a clip's class
                gradient is the mean over them.

        Returns:
            The comparison.
        """
        golden = self.products[0, :, 0, :]
        mixed = self.products[0][:, conditions, :].mean(1)
        own = self.products[np.ix_(conditions, range(self.clips), conditions)]
        own = own.mean((0, 2))
        gg, gd, dd = self._golden, self._all(mixed), self._all(own)
        cosines = tuple(debiased_cosine(b, a, c) for a, b, c in zip(gg, gd, dd))
        ratios = tuple(_root_ratio(c, a) for a, c in zip(gg, dd))
        naive = mixed.mean() / np.sqrt(golden.mean() * own.mean())
        cosine, ratio = float(cosines[0][0]), float(ratios[0][0])
        cosine_ci = self._interval(cosines)  # type: ignore[arg-type]
        ratio_ci = self._interval(ratios)  # type: ignore[arg-type]
        error = 0.0
        if self.splits is not None:
            one_less = self._without_each_split(conditions)
            error = split_error(debiased_cosine(*one_less))
            cosine_ci = widened(cosine_ci, cosine, error, self.confidence)
            ratio_error = split_error(_root_ratio(one_less[2], one_less[1]))
            ratio_ci = widened(ratio_ci, ratio, ratio_error, self.confidence)
        return Similarity(
            cosine=cosine,
            cosine_ci=cosine_ci,
            cosine_naive=float(naive),
            norm_ratio=ratio,
            norm_ratio_ci=ratio_ci,
            bias2=float((gg[0] - 2 * gd[0] + dd[0])[0]),
            sketch_error=error,
        )

    def _without_each_split(
        self, conditions: list[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """U-statistics gd, gg and dd with each part of the sketch left out ``[S]``."""
        assert self.splits is not None
        count = len(self.splits)
        rest = (self.splits.sum(0) - self.splits) / (count - 1)
        own = rest[:, conditions][:, :, conditions].mean((1, 2))
        return rest[:, 0, conditions].mean(1), rest[:, 0, 0], own

    def golden(self) -> GoldenLevel:
        """Describe the golden gradients: signal, noise, resolution.

        Returns:
            The description.
        """
        gram = self.products[0, :, 0, :]
        signal = float(self._golden[0][0])
        interval = self._interval(self._golden)
        if self.splits is not None:
            error = split_error(self._without_each_split([0])[1])
            interval = widened(interval, signal, error, self.confidence)
        variance = float(np.trace(gram)) / self.clips - signal
        between, within = split_variance(self.draws[0], signal)
        resolved = bool(interval[0] > 0)
        return GoldenLevel(
            signal=signal,
            signal_ci=interval,
            snr=signal / variance if variance > 0 else float("nan"),
            ceiling=max(signal, 0.0) / (max(signal, 0.0) + variance / self.clips),
            resolved=resolved,
            clips_to_resolve=(
                float(self.clips)
                if resolved
                else clips_to_resolve(gram, signal, self.confidence)
            ),
            variance_clips=between,
            variance_draws=within,
            loss=float(self.losses[:, :, 0].mean()),
        )


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
    return float(max(count + 1, np.ceil(n)))
