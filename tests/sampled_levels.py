"""Levels that samplers draw, and the test that compares them with a distribution."""

import numpy as np
from scipy.stats import kstest

COUNT = 100_000


def ks_pvalue(levels, cdf):
    """p value of the Kolmogorov-Smirnov test against a distribution function."""
    return kstest(levels, cdf, method="asymp").pvalue


def numbers():
    """The stream of numbers that every sampler gets: the same each time."""
    return np.random.default_rng(7)


def draw_levels(sampler, name="golden", mq=None, vq=None, count=COUNT):
    """Draw levels for many clips of one class and one pair of scores."""
    scores = [None if s is None else [s] * count for s in (mq, vq)]
    return sampler.sample([name] * count, *scores, numbers())
