"""The mean of paired differences, with an interval over seeds and clips together.

The unit is the difference of two samplers' held-out losses for one seed and one clip,
everything else equal. Its mean varies with the seeds drawn and with the clips drawn.
The half-width of the interval joins both:
``half^2 = t^2(K - 1) var_seeds / K + t^2(n - 1) var_clips / n``. One t with Welch and
Satterthwaite's degrees of freedom would miss the truth twice as often as it states when
there are two seeds (`tests/statistics/test_paired_difference.py` has the simulation);
this form is conservative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Difference:
    """A mean difference with an interval.

    Attributes:
        mean: The mean; below 0: the first is better.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def paired_difference(values: np.ndarray, alpha: float) -> Difference:
    """Return the mean of paired differences and its interval.

    Args:
        values: Differences ``[seeds, clips]``, at least two of each.
        alpha: Error allowed for this interval.

    Returns:
        The mean with an interval of confidence ``1 - alpha``.
    """
    mean = float(values.mean())
    squared_half_width = 0.0
    for means in (values.mean(1), values.mean(0)):  # of seeds, of clips
        count = len(means)
        quantile = float(student.ppf(1 - alpha / 2, count - 1))
        squared_half_width += quantile**2 * float(means.var(ddof=1)) / count
    half_width = squared_half_width**0.5
    return Difference(mean, mean - half_width, mean + half_width)
