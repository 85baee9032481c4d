"""What paired trials say: which sampler helps, by how much, at which noise levels.

The unit is the difference of golden held-out losses of two samplers, for one seed, one
clip and one bucket of sigma, everything else equal. Its mean varies with the seeds
drawn and with the clips drawn. The half-width of its interval joins both:
``half^2 = t^2(K - 1) var_seeds / K + t^2(n - 1) var_clips / n``. One t with Welch and
Satterthwaite's degrees of freedom would miss the truth twice as often as it says when
there are two seeds (`tests/training/test_verdict.py` has the simulation); this form
errs to the safe side. Looking again after each seed, and at several pairs, is paid for
by Bonferroni's correction; without early stopping there is one look.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Difference:
    """A mean difference with an interval.

    Attributes:
        mean: The mean; below 0: the first is better.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def difference(values: np.ndarray, alpha: float) -> Difference:
    """Return the mean of paired differences and its interval.

    Args:
        values: Differences ``[seeds, clips]``, at least two of each.
        alpha: Error allowed for this interval.

    Returns:
        The mean with an interval of confidence ``1 - alpha``.
    """
    mean = float(values.mean())
    half2 = 0.0
    for means in (values.mean(1), values.mean(0)):  # of seeds, of clips
        count = len(means)
        quantile = float(student.ppf(1 - alpha / 2, count - 1))
        half2 += quantile**2 * float(means.var(ddof=1)) / count
    half = half2**0.5
    return Difference(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Verdict:
    """What is known of one sampler against the baseline.

    Attributes:
        label: The sampler.
        overall: Difference over all buckets.
        buckets: Difference in each bucket, corrected for their number too.
        word: ``helps``, ``hurts`` or ``no difference shown``.
    """

    label: str
    overall: Difference
    buckets: list[Difference]
    word: str


def error_share(confidence: float, looks: int, arms: int) -> float:
    """Return the error one interval may have.

    Args:
        confidence: Confidence of all statements of a verification together.
        looks: How often results are looked at before it ends.
        arms: Samplers compared, pair by pair.

    Returns:
        ``(1 - confidence) / (looks * pairs)``.
    """
    return (1 - confidence) / (looks * (arms * (arms - 1) // 2))


def verdicts(
    losses: dict[str, np.ndarray], baseline: str, alpha: float
) -> list[Verdict]:
    """Judge every sampler against the baseline.

    Args:
        losses: Golden held-out loss after training ``[seeds, clips, buckets]`` by
            label.
        baseline: The label others are compared with.
        alpha: Error allowed per interval (`error_share`).

    Returns:
        A verdict for each of the others.
    """
    found = []
    for label, values in losses.items():
        if label == baseline:
            continue
        gap = values - losses[baseline]
        overall = difference(gap.mean(2), alpha)
        count = gap.shape[2]
        buckets = [difference(gap[:, :, b], alpha / count) for b in range(count)]
        word = "no difference shown"
        if overall.clear:
            word = "helps" if overall.mean < 0 else "hurts"
        found.append(Verdict(label, overall, buckets, word))
    return found


def ranking_is_clear(losses: dict[str, np.ndarray], alpha: float) -> bool:
    """Say whether every pair of samplers is told apart.

    Args:
        losses: As for `verdicts`.
        alpha: Error allowed per interval.

    Returns:
        True if no interval of a pair's difference holds 0.
    """
    return all(
        difference((a - b).mean(2), alpha).clear
        for a, b in combinations(losses.values(), 2)
    )
