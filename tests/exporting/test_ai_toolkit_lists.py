import numpy as np
import pytest

from tqd_probe.exporting.ai_toolkit_lists import (
    blended_lists,
    index_chances,
    sigmoid_lists,
    sorted_draws,
)


def test_lists_fall_from_noise():
    for lists in (sigmoid_lists(), blended_lists()):
        assert lists.shape[1] == 1000
        assert (np.diff(lists, axis=1) <= 0).all()
        assert lists.min() >= 0
        assert lists.max() <= 1
    assert np.median(sigmoid_lists()) == pytest.approx(0.5, abs=0.005)


def test_the_upper_end_of_a_range_is_left_out():
    chances = index_chances({}, 100, 200)
    assert np.flatnonzero(chances).tolist() == list(range(100, 200))
    assert chances.sum() == pytest.approx(1)
    assert index_chances({}, 7, 7)[7] == 1


def test_ranks_of_sorted_draws_are_their_expectation():
    middle = sorted_draws(index_chances({}, 499, 501)).cdf(np.array([0.45, 0.5, 0.55]))
    assert middle[0] < 1e-6
    assert middle[1] == pytest.approx(0.5, abs=0.02)
    assert middle[2] > 1 - 1e-6
    lists = sigmoid_lists()[:, 100:300]
    level = np.quantile(lists, 0.3)
    whole = sorted_draws(index_chances({}, 100, 300))
    assert whole.cdf(np.array(level)) == pytest.approx(0.3, abs=0.01)
