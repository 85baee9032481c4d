import numpy as np
import pytest
from scipy.stats import t as student

from tqd_probe.statistics.paired_difference import paired_difference


def test_difference_by_hand():
    values = np.array([[0.1, 0.3], [0.2, 0.4], [0.3, 0.8]])
    found = paired_difference(values, 0.05)
    seeds = np.array([0.2, 0.3, 0.55]).var(ddof=1) / 3
    clips = np.array([0.2, 0.5]).var(ddof=1) / 2
    half = np.sqrt(
        student.ppf(0.975, 2) ** 2 * seeds + student.ppf(0.975, 1) ** 2 * clips
    )
    assert found.mean == pytest.approx(0.35)
    assert (found.low, found.high) == pytest.approx((0.35 - half, 0.35 + half))
    assert not found.excludes_zero


def test_equal_losses_differ_by_nothing():
    same = paired_difference(np.zeros((3, 4)), 0.05)
    assert (same.low, same.high, same.excludes_zero) == (0, 0, False)


def test_an_interval_on_either_side_of_zero_excludes_it():
    near = 0.01 * np.random.default_rng(0).normal(size=(3, 4))
    assert paired_difference(near + 1, 0.05).excludes_zero
    assert paired_difference(near - 1, 0.05).excludes_zero


@pytest.mark.monte_carlo
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("by_seed", "by_clip"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_intervals_hold_the_truth_as_often_as_they_state(seeds, by_seed, by_clip):
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(1000):
        values = (
            by_seed * rng.normal(size=(seeds, 1))
            + by_clip * rng.normal(size=(1, 12))
            + rng.normal(size=(seeds, 12))
        )
        missed += paired_difference(values, 0.05).excludes_zero
    assert missed / 1000 < 0.055
