import numpy as np
import pytest
from diffusers import CogVideoXDDIMScheduler
from scipy.special import betaincinv, logit, ndtr

from tqd_probe.core.noise import unshift_sigma
from tqd_probe.sampling.base_density import (
    BaseDensity,
    CellDensity,
    MeasuredDensity,
)
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler


def test_base_density_integrates_to_one():
    for kind in ("uniform", "logit_normal"):
        base = BaseDensity(kind, 0.3, 1.2, 3.0)
        grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
        assert np.trapezoid(base.pdf(grid), grid) == pytest.approx(1, abs=1e-4)
        p = np.linspace(0.01, 0.99, 50)
        assert base.cdf(base.quantile(p)) == pytest.approx(p)


@pytest.fixture(scope="module")
def cogvideox():
    """Levels of the 1000 timesteps of CogVideoX-2b, from its scheduler's settings."""
    scheduler = CogVideoXDDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=3.0,
    )
    alphas = scheduler.alphas_cumprod.double().numpy()
    noise, signal = np.sqrt(1 - alphas), np.sqrt(alphas)
    return noise / (signal + noise)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_timesteps_are_drawn_evenly(cogvideox, shift):
    """Uniform t is no uniform sigma: of CogVideoX-2b they differ by .31."""
    base = BaseDensity(shift=shift, timesteps=cogvideox)
    levels = base.quantile((np.arange(5_000) + 0.5) / 5_000)
    before = unshift_sigma(levels, shift)
    nearest = np.abs(before[:, None] - cogvideox).argmin(1)
    assert np.bincount(nearest, minlength=1000).tolist() == [5] * 1000
    assert base.cdf(levels) == pytest.approx((np.arange(5_000) + 0.5) / 5_000)
    grid = (np.arange(200_000) + 0.5) / 200_000
    density = base.pdf(grid)
    assert density.mean() == pytest.approx(1, abs=1e-3)
    assert density[grid < base.of_u(np.array(0.0))].max() == 0
    if shift == 1:
        distance = np.abs(density - 1).mean() / 2
        assert distance == pytest.approx(0.306, abs=2e-3)


def test_all_densities_of_u_follow_the_timesteps(cogvideox):
    base = BaseDensity("logit_normal", 0.3, 1.2, timesteps=cogvideox)
    p = np.linspace(0.01, 0.99, 50)
    u = base.to_u(base.quantile(p))
    assert ndtr((logit(u) - 0.3) / 1.2) == pytest.approx(p)
    grid = (np.arange(200_000) + 0.5) / 200_000
    assert base.pdf(grid).mean() == pytest.approx(1, abs=1e-3)
    clip = ClipPool.of(["golden"], [0.7], [0.3])
    for space, expected in (("u", cogvideox), ("sigma", None)):
        sampler = make_sampler("beta", kappa_max=8, space=space, timesteps=cogvideox)
        density = BaseDensity(timesteps=expected)
        median = density.to_u(sampler.quantile(np.array([0.5]), clip))
        kappa = 2 + 6 * 0.4
        assert median == pytest.approx(betaincinv(0.7 * kappa, 0.3 * kappa, 0.5))
        assert sampler.density(grid, clip).mean() == pytest.approx(1, abs=1e-3)


def test_cells_get_their_shares_and_the_base_density_inside():
    base = BaseDensity("logit_normal")
    edges, shares = np.array([0.0, 0.25, 0.5, 1.0]), np.array([0.5, 0.0, 0.5])
    cells = CellDensity(base, edges, shares)
    assert cells.cdf(edges) == pytest.approx([0, 0.5, 0.5, 1])
    p = np.array([0.1, 0.4, 0.6, 0.9])
    levels = cells.quantile(p)
    assert cells.cdf(levels) == pytest.approx(p)
    assert ((levels < 0.25) == (p < 0.5)).all()
    ratio = cells.pdf(levels) / base.pdf(levels)
    first, last = 0.5 / base.cdf(0.25), 0.5 / (1 - base.cdf(0.5))
    assert ratio == pytest.approx([first, first, last, last])


def test_a_cell_that_the_base_leaves_empty_has_no_density():
    base = BaseDensity(timesteps=np.linspace(0.3, 1, 1000))
    cells = CellDensity(base, np.array([0.0, 0.2, 0.6, 1.0]), np.array([0.1, 0.4, 0.5]))
    with np.errstate(all="raise"):
        found = cells.pdf(np.array([0.1, 0.5, 0.9]))
    assert found[0] == 0
    assert found[1:] / base.pdf(np.array([0.5, 0.9])) == pytest.approx(
        [0.4 / base.cdf(0.6), 0.5 / (1 - base.cdf(0.6))]
    )
    assert cells.quantile(np.array([0.05])) == pytest.approx([0.3], abs=1e-3)


@pytest.mark.parametrize(
    ("levels", "values"),
    [
        ([0.1, 0.5, 0.9], [4.0, 2.0, 1.0]),
        ([0.0, 0.3, 1.0], [0.0, 2.0, 0.0]),
        ([0.2, 0.4, 0.6], [1.0, 0.0, 1.0]),
        ([0.5], [7.0]),
    ],
)
def test_a_measured_density_integrates_to_one_and_inverts(levels, values):
    density = MeasuredDensity(np.array(levels), np.array(values))
    grid = (np.arange(200_000) + 0.5) / 200_000
    pdf = density.pdf(grid)
    assert pdf.mean() == pytest.approx(1, abs=1e-6)
    assert density.cdf(grid) == pytest.approx(pdf.cumsum() / 200_000, abs=1e-4)
    p = np.linspace(0, 1, 1001)
    assert density.cdf(density.quantile(p)) == pytest.approx(p, abs=1e-9)
    ends = density.quantile(np.array([-0.1, 1.1]))
    assert 0 <= ends[0] <= ends[1] <= 1


def test_a_measured_density_has_the_shares_that_its_values_say():
    """Densities 4, 2, 1 over 2.3 at .1, .5, .9: .4, 1.2, .6 and .1 of 2.3."""
    density = MeasuredDensity(np.array([0.1, 0.5, 0.9]), np.array([4.0, 2.0, 1.0]))
    found = density.cdf(np.array([0.1, 0.5, 0.9, 1.0]))
    assert found == pytest.approx(np.array([0.4, 1.6, 2.2, 2.3]) / 2.3)
    assert density.quantile(np.array([0.2 / 2.3])) == pytest.approx([0.05])
