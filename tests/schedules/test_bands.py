import numpy as np
import pytest
from scipy.stats import beta, norm

from tqd_probe.schedules.bands import (
    CosineCriterion,
    band_cdf,
    cosine_bands,
    fit_beta,
    fit_density,
    fit_logit_offset,
    hard_bands,
    uncovered,
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
    assert uncovered(LEVELS, [[(0.0, 0.3)], [(0.65, 1.0)]]) == [0.5]


def test_band_cdf():
    found = band_cdf([(0.0, 0.2), (0.6, 0.8)], np.array([0.0, 0.1, 0.4, 0.7, 1.0]))
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("bands_", [[(0.7, 1.0)], [(0.0, 0.3)], [(0.3, 0.6)]])
def test_beta_fit_states_its_own_distance(bands_):
    fit = fit_beta(bands_)
    grid = np.linspace(0, 1, 1001)
    gap = np.abs(beta.cdf(grid, fit["alpha"], fit["beta"]) - band_cdf(bands_, grid))
    assert fit["ks"] == pytest.approx(gap.max(), abs=1e-9)
    assert fit["ks"] < 0.15
    inside = beta.cdf(bands_[0][1], fit["alpha"], fit["beta"]) - beta.cdf(
        bands_[0][0], fit["alpha"], fit["beta"]
    )
    assert inside > 0.75


def test_beta_fit_of_the_whole_axis_is_uniform():
    fit = fit_beta([(0.0, 1.0)])
    assert (fit["alpha"], fit["beta"]) == pytest.approx((1, 1), abs=0.02)
    assert fit["ks"] < 0.01


def test_logit_offset_is_the_best_on_a_grid_and_antisymmetric():
    fit = fit_logit_offset([(0.6, 1.0)])
    mirrored = fit_logit_offset([(0.0, 0.4)])
    assert fit["value"] == pytest.approx(-mirrored["value"], abs=0.02)
    grid = np.linspace(0, 1, 1001)[1:-1]
    logit = np.log(grid / (1 - grid))
    wanted = band_cdf([(0.6, 1.0)], grid)
    best = min(
        float(np.abs(norm.cdf(logit - offset) - wanted).max())
        for offset in np.linspace(0, 4, 401)
    )
    assert fit["ks"] == pytest.approx(best, abs=0.005)


def test_fits_without_bands():
    assert fit_beta([]) is None
    assert fit_logit_offset([]) is None


def test_hard_bands_follow_a_density_of_two_heights():
    density = np.array([0.0, 1.0, 1.0, 0.1, 0.0])
    assert hard_bands(LEVELS, density) == [pytest.approx((0.2, 0.6))]
    assert hard_bands(LEVELS, np.zeros(5)) == []
    two = hard_bands(LEVELS, np.array([1.0, 0, 0, 1.0, 1.0]))
    assert [x for band in two for x in band] == pytest.approx([0, 0.2, 0.6, 1])


def test_fits_to_weights_state_their_distance():
    levels = (np.arange(50) + 0.5) / 50
    found = fit_density(levels, beta.pdf(levels, 4.0, 2.0))
    assert found["beta"]["alpha"] == pytest.approx(4.0, rel=0.05)
    assert found["beta"]["beta"] == pytest.approx(2.0, rel=0.05)
    assert found["beta"]["ks"] < 0.01
    low, high = found["bands"]["intervals"][0]
    grid = np.linspace(0, 1, 2001)
    flat = np.clip((grid - low) / (high - low), 0, 1)
    gap = np.abs(flat - beta.cdf(grid, 4.0, 2.0)).max()
    assert found["bands"]["ks"] == pytest.approx(gap, abs=0.01)
    assert found["logit_offset"]["value"] == pytest.approx(0.8, abs=0.1)
    assert fit_density(levels, np.zeros(50)) is None
