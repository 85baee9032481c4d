"""What paired trials say: which sampler helps, by how much, at which noise levels.

The unit is the difference of golden held-out losses of two samplers, for one seed, one
clip and one bucket of sigma, everything else equal. Its mean varies with the seeds
drawn and with the clips drawn; the variance of the mean is the sum of both parts,
``var_seeds / K + var_clips / n`` (conservative: what is left over is counted twice),
with Welch and Satterthwaite's degrees of freedom. Looking again after each seed, and at
several pairs, is paid for by Bonferroni's correction.
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
    seeds, clips = values.shape
    mean = float(values.mean())
    parts = np.array(
        [values.mean(1).var(ddof=1) / seeds, values.mean(0).var(ddof=1) / clips]
    )
    total = float(parts.sum())
    if total == 0:
        return Difference(mean, mean, mean)
    freedom = total**2 / float((parts**2 / np.array([seeds - 1, clips - 1])).sum())
    half = float(student.ppf(1 - alpha / 2, freedom)) * total**0.5
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
