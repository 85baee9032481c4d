import numpy as np
import pytest
from curves import LEVELS, covered, curves, random_curves

from tqd_probe.schedules.bands import (
    CosineCriterion,
    band_cdf,
    clip_bands,
    measured_range,
    three_ways,
    uncovered_levels,
    use_intervals,
)
from tqd_probe.schedules.interval_sets import length

CRITERION = CosineCriterion(0.9, (0.5, 2.0), delta=0.03)


def used(cosine, half=0.0, **more):
    return use_intervals(curves(cosine, half, **more), CRITERION)


def ways(cosine, half=0.0, **more):
    found = three_ways(curves(cosine, half, **more), CRITERION)
    return found.use, found.test, found.avoid


def test_edges_are_interpolated_and_the_outermost_level_reaches_half_a_gap():
    (band,) = used([0.5, 0.6, 0.8, 1.0, 1.0])
    assert band == pytest.approx((0.6, 1.0))
    levels = np.array([0.2, 0.3, 0.5, 0.7, 0.8])
    assert used(1.0, levels=levels) == [pytest.approx((0.15, 0.85))]
    wide = np.array([0.4, 0.9])  # half a gap would leave the network's range
    assert used(1.0, levels=wide) == [pytest.approx((0.15, 1.0))]
    expert = use_intervals(curves(1.0, levels=wide), CRITERION, span=(0.3, 0.95))
    assert expert == [pytest.approx((0.3, 0.95))]


def test_one_level_bounds_no_interval():
    for cosine in (1.0, 0.2):
        assert ways(cosine, levels=np.array([0.7])) == ([], [], [])
    assert measured_range(np.array([0.7])) == (0.7, 0.7)


def test_several_bands():
    first, second = used([0.95, 0.85, 0.5, 0.85, 0.95])
    assert first == pytest.approx((0.0, 0.2))
    assert second == pytest.approx((0.8, 1.0))


def test_no_band():
    assert used(0.1) == []
    assert used(np.nan) == []


def test_the_lower_bound_may_lie_delta_below_the_threshold():
    """Estimate 0.91: used with bounds down to 0.87, and with narrower ones alone."""
    assert used(0.91, half=0.04) == [pytest.approx((0.0, 1.0))]
    assert used(0.91, half=0.041) == []
    assert used(0.899, half=0.0) == []
    strict = CosineCriterion(delta=0.0)
    assert use_intervals(curves(0.91, half=0.011), strict) == []
    assert use_intervals(curves(0.91, half=0.01), strict) == [pytest.approx((0, 1))]


def test_the_lower_bound_sets_an_edge_where_it_fails_first():
    # The estimate passes .9 a half of the way down, its bound passes .87 a quarter.
    (band,) = used([0.8, 0.8, 0.8, 1.0, 1.0], half=[0.3, 0.3, 0.33, 0.01, 0.01])
    assert band[0] == pytest.approx(0.7 - 0.2 * 0.12 / 0.52)


def test_levels_are_used_avoided_or_left_to_test():
    use, test, avoid = ways([0.5, 0.85, 0.91, 0.95, 1.0], half=[0.1, 0.1, 0.1, 0.04, 0])
    # level .1: surely below. Levels .3 and .5: the interval holds .9 and is wide.
    # upper bound .6 at .1 and .95 at .3; lower bound .81 at .5 and .91 at .7
    assert avoid == [pytest.approx((0.0, 0.1 + 0.2 * 0.3 / 0.35))]
    assert use == [pytest.approx((0.5 + 0.2 * 0.06 / 0.1, 1.0))]
    assert test == [pytest.approx((avoid[0][1], use[0][0]))]


def test_a_norm_ratio_outside_is_tested_not_avoided():
    assert ways(1.0, ratio=4.0) == ([], [pytest.approx((0, 1))], [])
    assert ways(0.5, ratio=4.0) == ([], [], [pytest.approx((0, 1))])


def test_norm_ratio_limits_a_band_in_its_logarithm():
    (band,) = used(1.0, ratio=[8.0, 2.0 * 2**0.5, 1.0, 1.0, 1.0])
    # log2 ratio falls from 1.5 at 0.3 to 0 at 0.5 and passes 1 a third of the way.
    assert band == pytest.approx((0.3 + 0.2 / 3, 1.0))


def test_the_first_condition_to_fail_sets_the_edge():
    (band,) = used([0.8, 0.8, 1.0, 1.0, 1.0], ratio=[4, 4, 1, 1, 1])
    # cosine passes 0.9 halfway, log2 ratio passes 1 halfway as well
    assert band == pytest.approx((0.4, 1.0))
    (band,) = used([0.8, 0.8, 1.0, 1.0, 1.0], ratio=[16, 16, 1, 1, 1])
    assert band == pytest.approx((0.45, 1.0))


def test_an_unresolved_level_is_tested_up_to_half_the_gap():
    resolved = np.array([True, True, True, True, False])
    use, test, avoid = ways([0.5, 1, 1, 1, 1], resolved=resolved)
    assert use == [pytest.approx((0.26, 0.8))]
    assert avoid == [pytest.approx((0.0, 0.26))]
    assert test == [pytest.approx((0.8, 1.0))]
    assert ways(1.0, resolved=False) == ([], [(0.0, 1.0)], [])


def test_a_level_inside_between_two_unresolved_ones_keeps_its_cell():
    resolved = np.array([True, False, True, False, True])
    use, test, avoid = ways([0.2, 1, 1, 1, 0.2], resolved=resolved)
    assert use == [pytest.approx((0.4, 0.6))]
    assert avoid == [pytest.approx((0.0, 0.2)), pytest.approx((0.8, 1.0))]
    assert test == [pytest.approx((0.2, 0.4)), pytest.approx((0.6, 0.8))]


def test_a_nan_between_levels_splits_a_band():
    first, second = used([1.0, 1.0, np.nan, 1.0, 1.0])
    assert first == pytest.approx((0.0, 0.4))
    assert second == pytest.approx((0.6, 1.0))


@pytest.mark.parametrize("seed", range(20))
def test_the_three_partition_the_measured_range(seed):
    found = three_ways(random_curves(seed), CRITERION)
    parts = [found.use, found.test, found.avoid]
    assert sum(map(length, parts)) == pytest.approx(1.0)
    grid = (np.arange(997) + 0.5) / 997
    assert (sum(covered(grid, part).astype(int) for part in parts) == 1).all()


def test_all_three_kinds_were_among_the_random_curves():
    found = [three_ways(random_curves(seed), CRITERION) for seed in range(20)]
    for kind in ("use", "test", "avoid"):
        assert sum(bool(getattr(each, kind)) for each in found) >= 5


def test_uncovered_levels():
    assert uncovered_levels(LEVELS, [[(0.0, 0.3)], [(0.65, 1.0)]]) == [0.5]


def test_band_cdf():
    found = band_cdf([(0.0, 0.2), (0.6, 0.8)], np.array([0.0, 0.1, 0.4, 0.7, 1.0]))
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_bands_are_cut_at_the_ends_of_a_range():
    assert clip_bands([(0.0, 0.3), (0.5, 0.9)], 0.4, 0.7) == [(0.5, 0.7)]
