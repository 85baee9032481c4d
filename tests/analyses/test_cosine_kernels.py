"""Cosines and their first-order kernels beside the package's own statistics."""

import numpy as np
import pytest

from analyses.cosine_kernels import cosine_kernel, kernel_interval
from analyses.intervals.synthetic_gradients import Truth, draw, paired
from tqd_probe.core.rng import stream
from tqd_probe.statistics.similarity import LevelStatistics


@pytest.fixture
def gram():
    """Gram matrices of 24 clips and their degraded copies."""
    truth = Truth(clips=24, snr=1.0, cosine=0.8, shared=0.5)
    return paired(draw(truth, 1, stream(0, "kernels"))[0])


def test_cosine_is_the_debiased_one(gram):
    wanted = LevelStatistics(gram, 0, confidence=0.95).compare([1])
    cosine, kernel = cosine_kernel(gram, 1)
    assert cosine == pytest.approx(wanted.cosine)
    assert kernel.shape == (24, 24)
    low, high = kernel_interval(cosine, kernel, 0.95)
    assert low < cosine < high
    # To first order the interval is as wide as Fieller's.
    assert high - low == pytest.approx(np.ptp(wanted.cosine_ci), rel=0.25)


def test_a_difference_with_itself_has_no_width(gram):
    cosine, kernel = cosine_kernel(gram, 1)
    assert kernel_interval(0.0, kernel - kernel, 0.95) == (0.0, 0.0)
    wide, narrow = (np.ptp(kernel_interval(cosine, kernel, c)) for c in (0.99, 0.9))
    assert wide > narrow
