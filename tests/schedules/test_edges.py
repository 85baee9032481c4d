import numpy as np
import pytest

from tqd_probe.schedules.bands import CosineCriterion, cosine_bands
from tqd_probe.schedules.edges import edge_intervals, possible_bands, sure_bands

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
ALL = np.ones(5, bool)
CRITERION = CosineCriterion(0.9, (0.5, 2.0))


def found(low, high, ratio=None, resolved=ALL):
    """Bands, sure and possible parts, and edge intervals of one curve."""
    ratio = np.ones((5, 2)) if ratio is None else np.array(ratio, float)
    cosine = np.stack([low, high], 1).astype(float)
    middle = np.sqrt(np.maximum(ratio.prod(1), 1e-6))
    bands = cosine_bands(LEVELS, cosine[:, 0], middle, resolved, CRITERION)
    measured = (LEVELS, cosine, ratio, resolved, CRITERION)
    sure, possible = sure_bands(*measured), possible_bands(*measured)
    return bands, sure, possible, edge_intervals(bands, sure, possible)


def test_an_edge_lies_between_the_crossings_of_both_bounds():
    bands, _, possible, edges = found(
        [0.5, 0.6, 0.8, 1.0, 1.0], [0.6, 0.8, 1.0, 1.1, 1.1]
    )
    assert bands == [pytest.approx((0.6, 1.0))]
    assert possible == [pytest.approx((0.4, 1.0))]
    ((lower, upper),) = edges
    assert lower == pytest.approx((0.4, 0.6))
    assert upper == (1.0, 1.0)


def test_an_unresolved_level_excludes_nothing():
    resolved = np.array([True, True, True, False, True])
    bands, _, possible, edges = found(
        [1, 1, 1, 0, 0], [1, 1, 1, 0.1, 0.1], resolved=resolved
    )
    assert bands == [(0.0, 0.5)]
    assert possible == [(0.0, 0.9)]  # up to the next level that excludes a band
    assert edges == [((0.0, 0.0), (0.5, 0.9))]
    assert found([0] * 5, [0] * 5, resolved=~ALL)[2] == [(0.0, 1.0)]


def test_undefined_intervals_exclude_nothing():
    bands, _, possible, edges = found([1, 1, np.nan, 1, 1], [1, 1, np.nan, 1, 1])
    assert bands == [(0.0, 0.3), (0.7, 1.0)]
    assert possible == [(0.0, 1.0)]
    # Each edge may lie anywhere up to the other band.
    assert edges == [((0.0, 0.0), (0.3, 0.7)), ((0.3, 0.7), (1.0, 1.0))]


def test_the_interval_of_the_norm_ratio_counts_too():
    ratio = [(4, 9), (2, 4.5), (1, 3), (1, 1), (1, 1)]
    bands, sure, possible, edges = found([1] * 5, [1] * 5, ratio)
    # log2 ratio passes 1: by the estimate between 0.3 (1.58) and 0.5 (0.79), by the
    # upper bound between 0.5 (log2 3) and 0.7 (0), by the lower one at 0.3 itself.
    assert bands[0][0] == pytest.approx(0.3 + 0.2 * (np.log2(3) - 1) / np.log2(3**0.5))
    assert sure[0][0] == pytest.approx(0.7 - 0.2 / np.log2(3))
    assert possible[0][0] == pytest.approx(0.3)
    assert edges[0][0] == pytest.approx((0.3, sure[0][0]))


def test_a_ratio_whose_interval_reaches_zero_is_possible_and_not_sure():
    ratio = [(0.0, 1.5)] * 5
    _, sure, possible, _ = found([1] * 5, [1] * 5, ratio)
    assert (sure, possible) == ([], [(0.0, 1.0)])


def test_edges_of_a_band_that_is_nowhere_sure_lie_anywhere_in_it():
    pair = edge_intervals([(0.4, 0.6)], [], [(0.3, 0.9)])
    assert pair == [((0.3, 0.6), (0.4, 0.9))]


def covered(grid, intervals):
    """Which places of a grid lie in one of the intervals."""
    inside = np.zeros(len(grid), bool)
    for low, high in intervals:
        inside |= (low <= grid) & (grid <= high)
    return inside


def random_curve(seed):
    rng = np.random.default_rng(seed)
    middle, spread = rng.uniform(0.7, 1.05, 5), rng.uniform(0, 0.2, 5)
    ratio = np.exp2(rng.uniform(-1.5, 1.5, 5)[:, None] + [[-0.3, 0.3]])
    resolved = rng.random(5) < 0.8
    return found(middle - spread, middle + spread, ratio, resolved)


@pytest.mark.parametrize("seed", range(20))
def test_sure_parts_lie_inside_bands_and_bands_inside_possible_parts(seed):
    bands, sure, possible, _ = random_curve(seed)
    grid = np.linspace(0, 1, 999)
    assert not (covered(grid, sure) & ~covered(grid, bands)).any()
    assert not (covered(grid, bands) & ~covered(grid, possible)).any()


def test_edges_lie_in_their_intervals():
    edges = []
    for seed in range(20):
        bands, _, _, pairs = random_curve(seed)
        for band, pair in zip(bands, pairs, strict=True):
            edges += [
                low <= edge <= high
                for edge, (low, high) in zip(band, pair, strict=True)
            ]
    assert len(edges) >= 10  # that many edges were compared
    assert all(edges)
