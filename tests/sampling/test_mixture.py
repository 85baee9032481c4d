import numpy as np
import pytest
from sampled_levels import COUNT, ks_pvalue, numbers

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler


def test_mixture_given_the_class(schedule):
    """p(sigma | class) is the base density times the class's share, normalised."""
    sampler = make_sampler("mixture", schedule=schedule)
    grid = np.linspace(0, 1, 20_001)
    share = np.interp(grid, [0.1, 0.5, 0.9], [0.0, 0.3, 0.6])
    total = np.concatenate([[0], np.cumsum((share[1:] + share[:-1]) / 2)])

    def truth(x):
        return np.interp(x, grid, total / total[-1])

    pool = ClipPool.of(["visual_degraded"] * COUNT)
    found = sampler.quantile(numbers().random(COUNT), pool)
    assert ks_pvalue(found, truth) > 0.01
    density = sampler.density(grid[1:-1], pool.take([0]))[0]
    assert np.trapezoid(density, grid[1:-1]) == pytest.approx(1, abs=1e-3)
    shares = [sampler.weight(name, grid) for name in sampler.weights]
    assert sum(shares) == pytest.approx(np.ones_like(grid))


def test_joint_mixture_trains_levels_by_their_shares(schedule):
    joint = schedule.model_copy(deep=True)
    joint.mixture.form, joint.mixture.level_density = "joint", [0.2, 0.0, 0.8]
    sampler = make_sampler("mixture", schedule=joint, base="logit_normal")
    base = BaseDensity("logit_normal")
    sigma = sampler.base.quantile(numbers().random(COUNT))
    low, high = sigma < 0.3, sigma > 0.7  # cells end half way between 0.1, 0.5, 0.9
    assert (low | high).all()
    assert low.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.25 / COUNT))
    assert ks_pvalue(sigma[low], lambda x: base.cdf(x) / base.cdf(0.3)) > 0.01
    assert ks_pvalue(sigma, sampler.base.cdf) > 0.01
    grid = np.linspace(1e-6, 1 - 1e-6, 100_001)
    assert np.trapezoid(sampler.base.pdf(grid), grid) == pytest.approx(1, abs=1e-3)


def test_joint_mixture_of_an_expert_trains_its_cells_by_their_shares(schedule):
    joint = schedule.model_copy(deep=True)
    joint.mixture.form, joint.mixture.level_density = "joint", [0.2, 0.1, 0.7]
    joint.noise.levels = [0.65, 0.75, 0.95]
    sampler = make_sampler("mixture", schedule=joint, sigma_range=(0.6, 1.0))
    sigma = sampler.base.quantile(numbers().random(COUNT))
    for low, high, share in ((0.6, 0.7, 0.2), (0.7, 0.85, 0.1), (0.85, 1, 0.7)):
        inside = (sigma >= low) & (sigma < high)
        assert inside.mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / COUNT))
    grid = np.linspace(0.6, 1 - 1e-6, 100_001)
    assert np.trapezoid(sampler.base.pdf(grid), grid) == pytest.approx(1, abs=1e-3)
    assert sampler.base.pdf(np.array([0.3, 0.5])) == pytest.approx([0, 0])


def test_a_mixture_that_cannot_be_drawn_is_refused(schedule):
    with pytest.raises(InputError, match="mixture: is null"):
        make_sampler("mixture", schedule=schedule.model_copy(update={"mixture": None}))
    sampler = make_sampler("mixture", schedule=schedule)
    with pytest.raises(InputError, match="no clip of class 'motion_degraded'"):
        sampler.check(ClipPool.of(["golden", "visual_degraded"]))
