"""ai-toolkit: lists of 1000 levels that fall from noise, and indices into them.

By `toolkit/samplers/custom_flowmatch_sampler.py` and `BaseSDTrainProcess.py` (read
2026-08, 27a03a9). The lists of ``sigmoid`` and ``lognorm_blend`` are drawn anew for
every batch.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, expit

from tqd_probe.exporting.configuration_files import Options
from tqd_probe.exporting.level_distribution import (
    Cdf,
    LevelDistribution,
    logit_normal,
    weighted,
)

STEPS = 1000
DRAWN = 400  # lists of ``sigmoid``, where each decides the range of a network


def index_chances(train: Options, first: int, end: int) -> np.ndarray:
    """Return the probability of each index ``[1000]``."""
    chances = np.zeros(STEPS)
    style = train.get("content_or_style", "balanced")
    if style in ("content", "style"):
        cubes = ((np.arange(100_000) + 0.5) / 100_000) ** 3 * STEPS
        raw = cubes if style == "content" else STEPS - cubes
        index = raw * (end - first) / (STEPS - 1) + first
        np.add.at(chances, np.clip(index.astype(int), first, end), 1e-5)
    elif first == end:
        chances[first] = 1.0
    else:
        chances[first:end] = 1 / (end - first)
    return chances


def sorted_draws(chances: np.ndarray) -> LevelDistribution:
    """Return the levels of a list of sigmoids of normal draws, sorted, falling.

    The level of rank r from below exceeds x when fewer than r of 1000 draws lie below
    it, so that runs of ranks sum to expectations of a binomial variable.

    Args:
        chances: Probability of each index ``[1000]``.
    """
    base = logit_normal().cdf
    ranks = chances[::-1]  # by rank from below, from 1 on
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], ranks, [0.0]])))
    steps = np.diff(np.concatenate([[0.0], ranks, [0.0]]))[edges]

    def continuous(level: np.ndarray) -> np.ndarray:
        p = base(level)
        return sum(
            (step * excess(p, int(edge)) for edge, step in zip(edges, steps)),
            start=np.zeros_like(p),
        )

    return LevelDistribution(table_of(continuous))


def excess(p: np.ndarray, least: int) -> np.ndarray:
    """Return the expectation of ``max(B - least, 0)``, B binomial of 1000 draws."""

    def at_least(draws: int, count: int) -> np.ndarray:
        if count <= 0:
            return np.ones_like(p)
        return betainc(count, draws - count + 1, p) if count <= draws else 0 * p

    return STEPS * p * at_least(STEPS - 1, least) - least * at_least(STEPS, least + 1)


def table_of(function: Cdf) -> Cdf:
    """Return a distribution function by a table of 1,001 levels."""
    places = np.linspace(0, 1, 1001)
    values = np.clip(function(places), 0, 1)
    return lambda level: np.interp(level, places, values)


def blended(chances: np.ndarray) -> LevelDistribution:
    """Return the levels of ``lognorm_blend``, from lists drawn with a fixed seed."""
    lists = blended_lists()
    return weighted(lists.ravel(), np.tile(chances / len(lists), len(lists)))


def blended_lists() -> np.ndarray:
    """Draw lists of ``lognorm_blend`` with a fixed seed, falling ``[200, 1000]``."""
    rng = np.random.default_rng(0)
    linear = np.linspace(1000, 1, STEPS // 4)
    lists = []
    for _ in range(200):
        drawn = rng.lognormal(0.0, 0.333, STEPS * 3 // 4)
        both = np.concatenate([(1 - drawn / drawn.max()) * 1000, linear])
        lists.append(np.sort(both)[::-1].astype(int) / 1000)
    return np.array(lists)


def sigmoid_lists() -> np.ndarray:
    """Draw lists of ``sigmoid`` with a fixed seed, falling ``[400, 1000]``."""
    drawn = np.random.default_rng(0).normal(size=(DRAWN, STEPS))
    return np.sort(expit(drawn), axis=1)[:, ::-1]
