import numpy as np
import pytest

from tqd_probe.schedules.bands import (
    CosineCriterion,
    band_cdf,
    cosine_bands,
    uncovered_levels,
)

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
ONES, ALL = np.ones(5), np.ones(5, bool)
CRITERION = CosineCriterion(0.9, (0.5, 2.0))


def bands(low, ratio=ONES, resolved=ALL):
    return cosine_bands(LEVELS, np.array(low), np.array(ratio), resolved, CRITERION)


def test_edges_are_interpolated_and_the_outermost_level_reaches_the_end():
    (band,) = bands([0.5, 0.6, 0.8, 1.0, 1.0])
    assert band == pytest.approx((0.6, 1.0))


def test_several_bands():
    first, second = bands([0.95, 0.85, 0.5, 0.85, 0.95])
    assert first == pytest.approx((0.0, 0.2))
    assert second == pytest.approx((0.8, 1.0))


def test_no_band():
    assert bands([0.1] * 5) == []
    assert bands([np.nan] * 5) == []


def test_norm_ratio_limits_a_band_in_its_logarithm():
    (band,) = bands([1.0] * 5, ratio=[8.0, 2.0 * 2**0.5, 1.0, 1.0, 1.0])
    # log2 ratio falls from 1.5 at 0.3 to 0 at 0.5 and passes 1 a third of the way.
    assert band == pytest.approx((0.3 + 0.2 / 3, 1.0))


def test_the_first_condition_to_fail_sets_the_edge():
    (band,) = bands([0.8, 0.8, 1.0, 1.0, 1.0], ratio=[4, 4, 1, 1, 1])
    # cosine passes 0.9 halfway, log2 ratio passes 1 halfway as well
    assert band == pytest.approx((0.4, 1.0))
    (band,) = bands([0.8, 0.8, 1.0, 1.0, 1.0], ratio=[16, 16, 1, 1, 1])
    assert band == pytest.approx((0.45, 1.0))


def test_no_band_rests_on_an_unresolved_level():
    resolved = np.array([True, True, True, True, False])
    (band,) = bands([0.5, 1.0, 1.0, 1.0, 1.0], resolved=resolved)
    assert band == pytest.approx((0.26, 0.7))
    assert bands([1.0] * 5, resolved=~ALL) == []


def test_a_nan_between_levels_splits_a_band():
    first, second = bands([1.0, 1.0, np.nan, 1.0, 1.0])
    assert first == pytest.approx((0.0, 0.3))
    assert second == pytest.approx((0.7, 1.0))


def test_uncovered_levels():
    assert uncovered_levels(LEVELS, [[(0.0, 0.3)], [(0.65, 1.0)]]) == [0.5]


def test_band_cdf():
    found = band_cdf([(0.0, 0.2), (0.6, 0.8)], np.array([0.0, 0.1, 0.4, 0.7, 1.0]))
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1])
