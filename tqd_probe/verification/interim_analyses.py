"""Group-sequential testing: after which seeds trials are analysed, at which level.

An analysis after every seed finds clear rankings early, but each could be wrong. Of the
error allowed, the analyses up to k of K seeds may spend the share ``(k / K)^3``
(an error-spending function of Kim and DeMets, 1987): little while k is small, where it
would buy nothing, and most at the end. The t statistics of the analyses have a joint
distribution that depends on nothing unknown when differences are normal, so that the
critical values that spend just this much come from simulation (Lan and DeMets, 1983).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import t as student

from tqd_probe.core.rng import stream

FIRST = 3  # seeds: two give an interval of 12.7 standard errors and more
POWER = 3  # of the error-spending function
PATHS = 1_000_000  # simulated sequences of differences
FEWEST = 100  # paths that must end at an analysis for its critical value to be known


class InterimAnalysis(BaseModel):
    """One analysis of a difference, before the last seed or after it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    seeds: int = Field(description="Trials of each sampler by then.")
    level: float = Field(
        description="Error of an interval computed then, as if it were the only one."
    )
    error_spent: float = Field(
        validation_alias="spent",
        serialization_alias="spent",
        description="Error that this analysis adds to the former ones'.",
    )


@lru_cache
def plan_interim_analyses(
    seeds: int, early_stop: bool, alpha: float
) -> tuple[InterimAnalysis, ...]:
    """Plan the analyses of one difference.

    Args:
        seeds: Trials of each sampler at most, two or more.
        early_stop: Analyse before the end too, from the third seed on.
        alpha: Error allowed over all analyses.

    Returns:
        The analyses in order; the last is after all seeds. One that could spend next to
        nothing is left out, and later ones spend its share.
    """
    if not early_stop or seeds <= FIRST:
        return (InterimAnalysis(seeds=seeds, level=alpha, error_spent=alpha),)
    rng = stream(0, "looks")  # the name is part of the random numbers
    mean, square = np.zeros(PATHS), np.zeros(PATHS)
    undecided = np.ones(PATHS, bool)
    analyses, spent = [], 0.0
    for count in range(1, seeds + 1):
        values = rng.standard_normal(PATHS)
        gap = values - mean
        mean += gap / count
        square += gap * (values - mean)  # sum of squares about the mean
        share = alpha * (count / seeds) ** POWER - spent
        ending = round(share * PATHS)
        if count < FIRST or ending < FEWEST:
            continue
        statistic = np.abs(mean) * np.sqrt(count * (count - 1) / square)
        statistic[~undecided] = 0
        critical = np.partition(statistic, -ending)[-ending]
        undecided &= statistic < critical
        level = 2 * float(student.sf(critical, count - 1))
        analyses.append(InterimAnalysis(seeds=count, level=level, error_spent=share))
        spent += share
    return tuple(analyses)
