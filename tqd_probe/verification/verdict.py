"""What paired trials say: which sampler helps, by how much, at which noise levels.

The unit is the difference of golden held-out losses of two samplers, for one seed, one
clip and one bucket of sigma, everything else equal. Its mean varies with the seeds
drawn and with the clips drawn. The half-width of its interval joins both:
``half^2 = t^2(K - 1) var_seeds / K + t^2(n - 1) var_clips / n``. One t with Welch and
Satterthwaite's degrees of freedom would miss the truth twice as often as it says when
there are two seeds (`tests/verification/test_verdict.py` has the simulation); this form
errs to the safe side. Looks (`tqd_probe.verification.interim_analyses`), and
comparisons with the baseline by Bonferroni's correction, share the error allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from tqd_probe.verification.interim_analyses import Look


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


def verdicts(losses: dict[str, np.ndarray], baseline: str, look: Look) -> list[Verdict]:
    """Judge every sampler against the baseline.

    Args:
        losses: Golden held-out loss after training ``[seeds, clips, buckets]`` by
            label.
        baseline: The label others are compared with.
        look: The look (`looks.plan`), with the error allowed for one comparison.

    Returns:
        A verdict for each of the others.
    """
    found = []
    for label, values in losses.items():
        if label == baseline:
            continue
        gap = values - losses[baseline]
        overall = difference(gap.mean(2), look.level)
        count = gap.shape[2]
        # What a look adds is its share by the union bound: sure, if a little wide.
        level = look.spent / count
        buckets = [difference(gap[:, :, b], level) for b in range(count)]
        word = "no difference shown"
        if overall.clear:
            word = "helps" if overall.mean < 0 else "hurts"
        found.append(Verdict(label, overall, buckets, word))
    return found


def all_clear(losses: dict[str, np.ndarray], baseline: str, level: float) -> bool:
    """Say whether every sampler is told apart from the baseline.

    Args:
        losses: As for `verdicts`.
        baseline: The label others are compared with.
        level: Error of one interval.

    Returns:
        True if no interval of a difference holds 0.
    """
    return all(
        difference((values - losses[baseline]).mean(2), level).clear
        for label, values in losses.items()
        if label != baseline
    )
