import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import beta, norm

from tqd_probe.core.noise import shift_sigma, unshift_sigma
from tqd_probe.schedules.bands import band_cdf
from tqd_probe.schedules.fits import (
    fit_beta,
    fit_density,
    fit_logit_offset,
    hard_bands,
)

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("bands_", [[(0.7, 1.0)], [(0.0, 0.3)], [(0.3, 0.6)]])
def test_beta_fit_states_its_own_distance(bands_):
    fit = fit_beta(bands_)
    grid = np.linspace(0, 1, 1001)
    gap = np.abs(beta.cdf(grid, fit["alpha"], fit["beta"]) - band_cdf(bands_, grid))
    assert fit["ks"] == pytest.approx(gap.max(), abs=2e-4)
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


@pytest.mark.parametrize("bands_", [[(0.72, 1.0)], [(0.1, 0.3), (0.8, 0.9)]])
def test_fits_are_of_the_variable_before_the_shift(bands_):
    """Bands of sigma under a shift have the fits of their preimages without one."""
    edges = unshift_sigma(np.array(bands_), 5.0)
    plain = [(float(a), float(b)) for a, b in edges]
    for fit in (fit_beta, fit_logit_offset):
        shifted, expected = fit(bands_, 5.0), fit(plain)
        assert (shifted.pop("shift"), expected.pop("shift")) == (5.0, 1.0)
        assert shifted == pytest.approx(expected, abs=1e-6)
    total = [f["alpha"] + f["beta"] for f in (fit_beta(bands_), fit_beta(plain))]
    assert total[0] != pytest.approx(total[1], rel=0.2)


def test_fits_are_to_the_base_density_inside_the_bands():
    base = norm(0.0, 1.0)
    fit = fit_logit_offset([(0.0, 1.0)], 3.0, lambda u: base.cdf(logit(u)))
    assert fit["value"] == pytest.approx(0, abs=1e-3)
    assert fit["ks"] < 1e-3


@pytest.mark.parametrize("width", [2e-3, 5e-4, 1e-5])
def test_narrow_bands_have_a_distance(width):
    """A band between two places of an even grid had the distance 0."""
    band = (0.50021, 0.50021 + width)
    fit, offset = fit_beta([band]), fit_logit_offset([band])
    grid = np.linspace(band[0], band[1], 2001)
    found = beta.cdf(grid, fit["alpha"], fit["beta"])
    gap = np.abs(found - band_cdf([band], grid)).max()
    assert 0.02 < gap < 0.15
    assert fit["ks"] == pytest.approx(gap, abs=2e-3)
    assert offset["ks"] > 0.45  # a logit-normal of unit width is all but flat there


def test_fits_without_bands():
    assert fit_beta([]) is None
    assert fit_logit_offset([]) is None


def test_hard_bands_follow_a_density_of_two_heights():
    density = np.array([0.0, 1.0, 1.0, 0.1, 0.0])
    assert hard_bands(LEVELS, density) == [pytest.approx((0.2, 0.6))]
    assert hard_bands(LEVELS, np.zeros(5)) == []
    shifted = hard_bands(shift_sigma(LEVELS, 3.0), density, shift=3.0)
    assert shifted == [pytest.approx(shift_sigma(np.array([0.2, 0.6]), 3.0))]
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
    shifted = fit_density(shift_sigma(levels, 5.0), beta.pdf(levels, 4.0, 2.0), shift=5)
    assert shifted["beta"]["alpha"] == pytest.approx(found["beta"]["alpha"], abs=1e-3)
    assert shifted["beta"]["shift"] == 5
