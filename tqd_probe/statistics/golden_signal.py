"""Golden gradients at a noise level: signal, noise, and whether it is resolved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.statistics.intervals import (
    Interval,
    mean_interval,
    sketch_covariance,
    student_quantile,
)
from tqd_probe.statistics.u_statistics import covariances, symmetric, u_statistic


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


def describe_golden(
    gram: np.ndarray,
    draws: np.ndarray,
    loss: float,
    sketch_parts: np.ndarray | None,
    confidence: float,
) -> GoldenLevel:
    """Describe the golden gradients of one noise level.

    Args:
        gram: Products of golden gradients ``[N, N]``, each the mean of a clip's draws.
        draws: Products of the R draws of each clip ``[N, R, R]``.
        loss: Mean training loss.
        sketch_parts: ``U_gg`` by each part of the sketch alone ``[S, 1]``; None for
            exact gradients.
        confidence: Of the intervals, such as 0.95.

    Returns:
        The description.
    """
    clips = len(gram)
    signal = u_statistic(gram)
    unbiased, least = (x[0, 0] for x in covariances(symmetric(gram)[None]))
    reach = student_quantile(clips, confidence)
    if sketch_parts is not None:
        more = sketch_covariance(sketch_parts, reach, confidence)[0, 0]
        unbiased, least = unbiased + more, least + more
    low, high = mean_interval(np.array(signal), unbiased, least, reach)
    variance = float(np.trace(gram)) / clips - signal
    between, within = split_variance(draws, signal)
    resolved = clips >= LEAST_CLIPS and float(low) > 0
    wanted = clips_to_resolve(gram, signal, confidence)
    return GoldenLevel(
        signal=signal,
        signal_ci=(float(low), float(high)),
        snr=signal / variance if variance > 0 else float("nan"),
        ceiling=max(signal, 0.0) / (max(signal, 0.0) + variance / clips),
        resolved=resolved,
        clips_to_resolve=float(clips) if resolved else wanted,
        variance_clips=between,
        variance_draws=within,
        loss=loss,
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
    return float(max(count + 1, LEAST_CLIPS, np.ceil(n)))
