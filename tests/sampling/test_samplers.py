from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import beta, kstest, norm

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.beta import BETA_FLOOR, kappa_max_from_fits
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import SAMPLERS, make_sampler

N = 100_000


def ks(values, truth):
    return kstest(values, truth, method="asymp").pvalue


def rng():
    return np.random.default_rng(7)


def drawn(sampler, name="golden", mq=None, vq=None, count=N):
    scores = [None if s is None else [s] * count for s in (mq, vq)]
    return sampler.sample([name] * count, *scores, rng())


@pytest.mark.parametrize(
    ("mq", "vq", "kappa_base", "kappa_max"),
    [(0.7, 0.3, 4, 8), (0.3, 0.7, 2, 8), (0.9, 0.1, 2, 12), (0.2, 0.5, 4, 6)],
)
def test_beta_is_the_published_formula(mq, vq, kappa_base, kappa_max):
    sampler = make_sampler("beta", kappa_base=kappa_base, kappa_max=kappa_max)
    mu = 0.5 + 0.5 * (mq - vq)
    kappa = kappa_base + (kappa_max - kappa_base) * abs(mq - vq)
    truth = beta(mu * kappa, (1 - mu) * kappa)
    assert ks(drawn(sampler, mq=mq, vq=vq), truth.cdf) > 0.01
    grid = np.linspace(0.01, 0.99, 9)
    clip = ClipPool.of(["golden"], [mq], [vq])
    assert sampler.density(grid, clip)[0] == pytest.approx(truth.pdf(grid))


def test_equal_scores_give_exactly_the_uniform_base():
    tqd = make_sampler("beta", kappa_max=8)
    assert tqd.kappa_base == 2
    found = drawn(tqd, mq=0.6, vq=0.6)
    assert abs(found - drawn(make_sampler("uniform"))).max() < 1e-9
    assert make_sampler("beta", base="logit_normal", kappa_max=8).kappa_base == 4


def test_baselines_and_the_shift():
    flat = drawn(make_sampler("uniform", shift=1))
    assert ks(flat, "uniform") > 0.01
    shifted = drawn(make_sampler("uniform", shift=3))
    assert abs(shifted - shift_sigma(flat, 3)).max() < 1e-9
    normal = make_sampler("logit_normal", logit_mean=0.5, logit_std=1.5, shift=3)
    u = drawn(make_sampler("logit_normal", logit_mean=0.5, logit_std=1.5))
    assert ks(np.log(u / (1 - u)), norm(0.5, 1.5).cdf) > 0.01
    assert abs(drawn(normal) - shift_sigma(u, 3)).max() < 1e-5


@pytest.mark.parametrize("name", ["uniform", "logit_normal", "beta"])
def test_u_and_sigma_spaces_differ_by_the_shift(name):
    """space=u: the shift follows the draw; space=sigma: the draw is sigma."""
    options = {"kappa_max": 8, "shift": 5.0}
    u = drawn(make_sampler(name, space="u", **options), mq=0.7, vq=0.3)
    sigma = drawn(make_sampler(name, space="sigma", **options), mq=0.7, vq=0.3)
    inside = (u > 1e-5) & (u < 1 - 1e-5)
    assert abs(u - shift_sigma(sigma, 5.0))[inside].max() < 1e-9


def test_bands_never_draw_outside(schedule):
    sampler = make_sampler("bands", schedule=schedule, base="logit_normal", shift=2)
    found = drawn(sampler, "visual_degraded")
    assert found.min() >= 0.6
    both = drawn(sampler, "motion_degraded")
    low, high = both <= 0.3, (both >= 0.5) & (both <= 0.7)
    assert (low | high).all()
    base = sampler.base
    edges = base.cdf(np.array([0.0, 0.3, 0.5, 0.7]))
    expected = edges[1] / (edges[1] + edges[3] - edges[2])
    assert low.mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / N))

    def truth(x):
        return (base.cdf(x) - base.cdf(0.6)) / (1 - base.cdf(0.6))

    assert ks(found, truth) > 0.01
    assert ks(drawn(sampler, "golden"), base.cdf) > 0.01


def test_mixture_given_the_class(schedule):
    """p(sigma | class) is the base density times the class's share, normalised."""
    sampler = make_sampler("mixture", schedule=schedule)
    grid = np.linspace(0, 1, 20_001)
    share = np.interp(grid, [0.1, 0.5, 0.9], [0.0, 0.3, 0.6])
    total = np.concatenate([[0], np.cumsum((share[1:] + share[:-1]) / 2)])

    def truth(x):
        return np.interp(x, grid, total / total[-1])

    pool = ClipPool.of(["visual_degraded"] * N)
    found = sampler.quantile(rng().random(N), pool)
    assert ks(found, truth) > 0.01
    density = sampler.density(grid[1:-1], pool.take([0]))[0]
    assert np.trapezoid(density, grid[1:-1]) == pytest.approx(1, abs=1e-3)
    shares = [sampler.weight(name, grid) for name in sampler.weights]
    assert sum(shares) == pytest.approx(np.ones_like(grid))


def test_joint_mixture_trains_levels_by_their_shares(schedule):
    joint = schedule.model_copy(deep=True)
    joint.mixture.form, joint.mixture.level_density = "joint", [0.2, 0.0, 0.8]
    sampler = make_sampler("mixture", schedule=joint, base="logit_normal")
    base = BaseDensity("logit_normal")
    sigma = sampler.base.quantile(rng().random(N))
    low, high = sigma < 0.3, sigma > 0.7  # cells end half way between 0.1, 0.5, 0.9
    assert (low | high).all()
    assert low.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.25 / N))
    assert ks(sigma[low], lambda x: base.cdf(x) / base.cdf(0.3)) > 0.01
    assert ks(sigma, sampler.base.cdf) > 0.01
    grid = np.linspace(1e-6, 1 - 1e-6, 100_001)
    assert np.trapezoid(sampler.base.pdf(grid), grid) == pytest.approx(1, abs=1e-3)


def test_joint_mixture_of_an_expert_trains_its_cells_by_their_shares(schedule):
    joint = schedule.model_copy(deep=True)
    joint.mixture.form, joint.mixture.level_density = "joint", [0.2, 0.1, 0.7]
    joint.noise.levels = [0.65, 0.75, 0.95]
    sampler = make_sampler("mixture", schedule=joint, sigma_range=(0.6, 1.0))
    sigma = sampler.base.quantile(rng().random(N))
    for low, high, share in ((0.6, 0.7, 0.2), (0.7, 0.85, 0.1), (0.85, 1, 0.7)):
        inside = (sigma >= low) & (sigma < high)
        assert inside.mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / N))
    grid = np.linspace(0.6, 1 - 1e-6, 100_001)
    assert np.trapezoid(sampler.base.pdf(grid), grid) == pytest.approx(1, abs=1e-3)
    assert sampler.base.pdf(np.array([0.3, 0.5])) == pytest.approx([0, 0])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("sigma_range", [(0.0, 1.0), (0.875, 1.0), (0.0, 0.875)])
def test_density_distribution_and_quantile_agree(schedule, name, sigma_range):
    """Each sampler's draws follow the density it states, on an expert's range too."""
    sampler = make_sampler(
        name, schedule=schedule, kappa_max=8, sigma_range=sigma_range, shift=1.5
    )
    clip = ClipPool.of(["visual_degraded"], [0.7], [0.3])
    edges = np.linspace(*sigma_range, 11)
    fine = np.linspace(*sigma_range, 10_001)[1:-1]
    density = sampler.density(fine, clip)[0]
    levels = (
        drawn(sampler, "visual_degraded", 0.7, 0.3)
        if name != "mixture"
        else (sampler.quantile(rng().random(N), clip.take([0] * N)))
    )
    assert levels.min() >= sigma_range[0]
    assert levels.max() <= sigma_range[1]
    found = np.histogram(levels, edges)[0] / N
    width = fine[1] - fine[0]
    expected = [
        density[(fine >= a) & (fine < b)].sum() * width for a, b in pairwise(edges)
    ]
    assert found == pytest.approx(np.array(expected), abs=5e-3)


def test_extreme_scores_are_floored_and_counted():
    sampler = make_sampler("beta", kappa_max=8)
    pool = ClipPool.of(["golden"] * 4, [1, 0, 0.5, 0.99], [0, 1, 0.5, 0.01])
    alpha, second = sampler.parameters(pool)
    assert alpha.tolist() == pytest.approx([8, BETA_FLOOR, 1, 7.8012])
    assert second.tolist() == pytest.approx([BETA_FLOOR, 8, 1, BETA_FLOOR])
    assert sampler.floored(pool).tolist() == [True, True, False, True]
    levels = drawn(sampler, mq=1.0, vq=0.0, count=2000)
    assert np.isfinite(levels).all()
    assert levels.max() < 1
    below, law = levels[levels < 0.999], beta(8, 0.1)
    assert ks(below, lambda x: law.cdf(x) / law.cdf(0.999)) > 0.01


def test_kappa_from_the_fits(schedule):
    pool = ClipPool.of(
        ["visual_degraded"] * 3 + ["motion_degraded"],
        [0.8, 0.7, 0.6, 0.2],
        [0.3, 0.2, 0.1, 0.7],
    )
    value, note = kappa_max_from_fits(schedule, pool, 2.0)
    visual = 2 + (5.6 - 2) / 0.5
    motion = 2 + (3.0 - 2) / 0.5
    assert value == pytest.approx((3 * visual + motion) / 4)
    assert "visual_degraded 9.20" in note
    with pytest.raises(InputError, match="--kappa-max"):
        kappa_max_from_fits(schedule, ClipPool.of(["golden"], [0.5], [0.5]), 2.0)


def test_base_density_integrates_to_one():
    for kind in ("uniform", "logit_normal"):
        base = BaseDensity(kind, 0.3, 1.2, 3.0)
        grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
        assert np.trapezoid(base.pdf(grid), grid) == pytest.approx(1, abs=1e-4)
        p = np.linspace(0.01, 0.99, 50)
        assert base.cdf(base.quantile(p)) == pytest.approx(p)


def test_what_is_missing_is_said(schedule):
    with pytest.raises(InputError, match="choose from uniform, logit_normal"):
        make_sampler("gamma")
    for name in ("bands", "mixture"):
        with pytest.raises(InputError, match="needs --schedule"):
            make_sampler(name)
    with pytest.raises(InputError, match="mixture: is null"):
        make_sampler("mixture", schedule=schedule.model_copy(update={"mixture": None}))
    with pytest.raises(InputError, match="--kappa-max"):
        make_sampler("beta")
    with pytest.raises(InputError, match="2 of 3 clips have no mq or vq"):
        make_sampler("beta", kappa_max=8).sample(
            ["golden"] * 3, [0.1, None, 0.2], [0.1, 0.2, None], rng()
        )
    with pytest.raises(InputError, match="'both_degraded': not in the schedule"):
        make_sampler("bands", schedule=schedule).sample(
            ["both_degraded"], None, None, rng()
        )
    bare = schedule.model_copy(deep=True)
    bare.classes["visual_degraded"].bands = []
    with pytest.raises(InputError, match="'visual_degraded' is trained at no level"):
        make_sampler("bands", schedule=bare).sample(
            ["golden", "visual_degraded"], None, None, rng()
        )
    sampler = make_sampler("mixture", schedule=schedule)
    with pytest.raises(InputError, match="no clip of class 'motion_degraded'"):
        sampler.check(ClipPool.of(["golden", "visual_degraded"]))
