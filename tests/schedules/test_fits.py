import numpy as np
import pytest
from scipy.stats import beta, norm

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
