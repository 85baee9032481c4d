import numpy as np
import pytest
from curves import covered, curves, random_curves

from tqd_probe.schedules.bands import CosineCriterion, use_intervals
from tqd_probe.schedules.edges import (
    edge_intervals,
    possible_intervals,
    sure_intervals,
)

CRITERION = CosineCriterion(0.9, (0.5, 2.0), delta=0.03)


def found(measured):
    """Bands, sure and possible parts, and edge intervals of one curve."""
    bands = use_intervals(measured, CRITERION)
    sure = sure_intervals(measured, CRITERION)
    possible = possible_intervals(measured, CRITERION)
    return bands, sure, possible, edge_intervals(bands, sure, possible)


def bounded(low, high, resolved=True):
    """A curve of given bounds, its estimate in the middle."""
    low, high = np.array(low, float), np.array(high, float)
    return curves((low + high) / 2, (high - low) / 2, resolved=resolved)


def test_an_edge_lies_between_the_crossings_of_both_bounds():
    bands, sure, possible, edges = found(
        bounded([0.5, 0.6, 0.8, 1.0, 1.0], [0.6, 0.8, 1.0, 1.0, 1.0])
    )
    # The estimate is .9 at .5, its lower bound .87 at .57 and .9 at .6; the upper one
    # is .9 at .4.
    assert bands == [pytest.approx((0.57, 1.0))]
    assert sure == [pytest.approx((0.6, 0.9))]
    assert possible == [pytest.approx((0.4, 1.0))]
    ((lower, upper),) = edges
    assert lower == pytest.approx((0.4, 0.6))
    # Beyond the outermost level nothing was measured.
    assert upper == pytest.approx((0.9, 1.0))


def test_outer_edges_are_not_certain():
    _, _, _, edges = found(curves(1.0, half=0.01))
    assert edges == [(pytest.approx((0.0, 0.1)), pytest.approx((0.9, 1.0)))]


def test_one_level_has_no_band_and_no_edge():
    bands, sure, _, edges = found(curves(1.0, levels=np.array([0.7])))
    assert (bands, sure, edges) == ([], [(0.7, 0.7)], [])


def test_an_unresolved_level_excludes_nothing():
    resolved = np.array([True, True, True, False, True])
    bands, _, possible, edges = found(
        bounded([1, 1, 1, 0, 0], [1, 1, 1, 0.1, 0.1], resolved=resolved)
    )
    assert bands == [pytest.approx((0.0, 0.6))]
    assert possible == [(0.0, 0.9)]  # up to the next level that excludes a band
    ((lower, upper),) = edges
    assert lower == pytest.approx((0.0, 0.1))
    assert upper == pytest.approx((0.5, 0.9))
    nothing = found(bounded([0] * 5, [0] * 5, resolved=False))
    assert nothing[2] == [(0.0, 1.0)]


def test_undefined_intervals_exclude_nothing():
    bands, _, possible, edges = found(bounded([1, 1, np.nan, 1, 1], [1] * 5))
    assert bands == [pytest.approx((0.0, 0.4)), pytest.approx((0.6, 1.0))]
    assert possible == [(0.0, 1.0)]
    # Each edge may lie anywhere from the last level known to the other band.
    assert edges[0][1] == pytest.approx((0.3, 0.6))
    assert edges[1][0] == pytest.approx((0.3, 0.7))


def test_the_interval_of_the_norm_ratio_counts_too():
    ratio = np.array([(4, 9), (2, 4.5), (1, 3), (1, 1), (1, 1)], float)
    middle = np.sqrt(ratio.prod(1))
    bands, sure, possible, edges = found(curves(1.0, ratio=middle, ratio_ci=ratio))
    # log2 ratio passes 1: by the estimate between 0.3 (1.58) and 0.5 (0.79), by the
    # upper bound between 0.5 (log2 3) and 0.7 (0), by the lower one at 0.3 itself.
    assert bands[0][0] == pytest.approx(0.3 + 0.2 * (np.log2(3) - 1) / np.log2(3**0.5))
    assert sure[0][0] == pytest.approx(0.7 - 0.2 / np.log2(3))
    assert possible[0][0] == pytest.approx(0.3)
    assert edges[0][0] == pytest.approx((0.3, sure[0][0]))


def test_a_ratio_whose_interval_reaches_zero_is_possible_and_not_sure():
    _, sure, possible, _ = found(curves(1.0, ratio_ci=[(0.0, 1.5)] * 5))
    assert (sure, possible) == ([], [(0.0, 1.0)])


def test_edges_of_a_band_that_is_nowhere_sure_lie_anywhere_in_it():
    pair = edge_intervals([(0.4, 0.6)], [], [(0.3, 0.9)])
    assert pair == [((0.3, 0.6), (0.4, 0.9))]


@pytest.mark.parametrize("seed", range(20))
def test_sure_parts_lie_inside_bands_and_bands_inside_possible_parts(seed):
    bands, sure, possible, _ = found(random_curves(seed))
    grid = np.linspace(0, 1, 999)
    assert not (covered(grid, sure) & ~covered(grid, bands)).any()
    assert not (covered(grid, bands) & ~covered(grid, possible)).any()


def test_edges_lie_in_their_intervals():
    edges = []
    for seed in range(20):
        bands, _, _, pairs = found(random_curves(seed))
        for band, pair in zip(bands, pairs, strict=True):
            edges += [
                low <= edge <= high
                for edge, (low, high) in zip(band, pair, strict=True)
            ]
    assert len(edges) >= 10  # that many edges were compared
    assert all(edges)
