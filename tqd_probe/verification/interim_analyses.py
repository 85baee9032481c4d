"""When a verification looks at its trials, and how much error each look may spend.

Looking after every seed finds clear rankings early; each look could be wrong. Of the
error allowed, the share ``(k / K)^3`` may be spent by the look after k of K seeds (an
error-spending function of Kim and DeMets, 1987): little while k is small, where it
would buy nothing, and most at the end. The t statistics of the looks have a joint
distribution that depends on nothing unknown when differences are normal, so that the
critical values that spend just this much come from simulation (Lan and DeMets, 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import t as student

from tqd_probe.core.rng import stream

FIRST = 3  # seeds: two give an interval of 12.7 standard errors and more
POWER = 3
PATHS = 1_000_000
FEWEST = 100  # paths that must end at a look for its critical value to be known


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes:
        seeds: Trials of each sampler by then.
        level: Error of an interval that is looked at then, as if it were the only look.
        spent: Error that this look adds to the former ones'.
    """

    seeds: int
    level: float
    spent: float


@lru_cache
def plan(seeds: int, early: bool, alpha: float) -> tuple[Look, ...]:
    """Lay the looks at one difference.

    Args:
        seeds: Trials of each sampler at most, two or more.
        early: Look before the end too, from the third seed on.
        alpha: Error allowed over all looks.

    Returns:
        The looks in order; the last is after all seeds. A look that could spend next to
        nothing is left out, and later ones spend its share.
    """
    if not early or seeds <= FIRST:
        return (Look(seeds, alpha, alpha),)
    rng = stream(0, "looks")
    mean, square = np.zeros(PATHS), np.zeros(PATHS)
    alive = np.ones(PATHS, bool)
    found, spent = [], 0.0
    for count in range(1, seeds + 1):
        values = rng.standard_normal(PATHS)
        gap = values - mean
        mean += gap / count
        square += gap * (values - mean)  # sum of squares about the mean
        share = alpha * (count / seeds) ** POWER - spent
        ending = round(share * PATHS)
        if count < FIRST or ending < FEWEST:
            continue
        size = np.abs(mean) * np.sqrt(count * (count - 1) / square)
        size[~alive] = 0
        limit = np.partition(size, -ending)[-ending]
        alive &= size < limit
        level = 2 * float(student.sf(limit, count - 1))
        found.append(Look(count, level, share))
        spent += share
    return tuple(found)
