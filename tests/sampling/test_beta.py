import numpy as np
import pytest
from sampled_levels import draw_levels, ks_pvalue, numbers
from scipy.stats import beta

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import unshift_sigma
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.beta import (
    BETA_FLOOR,
    distance_to_bands,
    kappa_max_from_fits,
)
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.sampling.timestep_sampler import LEVEL_MARGIN


@pytest.mark.parametrize(
    ("mq", "vq", "kappa_base", "kappa_max"),
    [(0.7, 0.3, 4, 8), (0.3, 0.7, 2, 8), (0.9, 0.1, 2, 12), (0.2, 0.5, 4, 6)],
)
def test_beta_is_the_published_formula(mq, vq, kappa_base, kappa_max):
    sampler = make_sampler("beta", kappa_base=kappa_base, kappa_max=kappa_max)
    mu = 0.5 + 0.5 * (mq - vq)
    kappa = kappa_base + (kappa_max - kappa_base) * abs(mq - vq)
    truth = beta(mu * kappa, (1 - mu) * kappa)
    assert ks_pvalue(draw_levels(sampler, mq=mq, vq=vq), truth.cdf) > 0.01
    grid = np.linspace(0.01, 0.99, 9)
    clip = ClipPool.of(["golden"], [mq], [vq])
    assert sampler.density(grid, clip)[0] == pytest.approx(truth.pdf(grid), rel=1e-5)


def test_extreme_scores_are_floored_and_counted():
    sampler = make_sampler("beta", kappa_max=8)
    pool = ClipPool.of(["golden"] * 4, [1, 0, 0.5, 0.99], [0, 1, 0.5, 0.01])
    alpha, second = sampler.parameters(pool)
    assert alpha.tolist() == pytest.approx([8, BETA_FLOOR, 1, 7.8012])
    assert second.tolist() == pytest.approx([BETA_FLOOR, 8, 1, BETA_FLOOR])
    assert sampler.floored_clips(pool).tolist() == [True, True, False, True]


@pytest.mark.parametrize(("mq", "vq", "end"), [(0.0, 1.0, 0), (1.0, 0.0, 1)])
def test_draws_at_extreme_scores_follow_the_density(mq, vq, end):
    """A third of levels was moved to 1e-6, where the stated density had none."""
    sampler = make_sampler("beta", kappa_max=8)
    levels = draw_levels(sampler, mq=mq, vq=vq, count=20_000)
    assert len(np.unique(levels)) == len(levels)
    near = np.abs(levels - end)
    law, least = beta(BETA_FLOOR, 8), LEVEL_MARGIN
    assert 0.3 < law.cdf(least) < 0.34
    inside = law.cdf(1 - least) - law.cdf(least)
    assert near.min() >= least * (1 - 1e-9)
    assert ks_pvalue(near, lambda x: (law.cdf(x) - law.cdf(least)) / inside) > 0.01
    clip = ClipPool.of(["golden"], [mq], [vq])
    edges = np.sort(np.abs(end - np.array([0, 1e-5, 1e-3, 0.1, 1])))
    shares = np.diff(sampler.cumulative(edges, clip)[0])
    counted = np.histogram(levels, edges)[0] / len(levels)
    assert shares.sum() == pytest.approx(1)
    assert counted == pytest.approx(shares, abs=0.015)
    fine = np.abs(end - np.geomspace(least, 1, 100_001)[1:-1])
    density = sampler.density(fine, clip)[0]
    assert abs(np.trapezoid(density, fine)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", ["uniform", "logit_normal"])
def test_kappa_max_follows_the_shift(schedule, kind):
    """Fitted to u: a class whose scores give the band's mean is drawn as its band."""
    bands, schedule = [(0.72, 1.0)], schedule.model_copy(deep=True)
    for name, curves in schedule.classes.items():
        curves.bands = bands if name == "visual_degraded" else []
        curves.beta = None
    totals = {}
    for shift in (1.0, 5.0):
        base = BaseDensity(kind, shift=shift)
        p = (np.arange(2000) + 0.5) / 2000
        start = base.cdf(np.array(0.72))
        levels = base.quantile(start + p * (1 - start))  # of the base inside the band
        gap = 2 * float(unshift_sigma(levels, shift).mean()) - 1
        pool = ClipPool.of(["visual_degraded"] * 3, [gap] * 3, [0.0] * 3)
        kappa, note = kappa_max_from_fits(schedule, pool, 2.0, base)
        sampler = make_sampler(
            "beta", base=kind, kappa_base=2, kappa_max=kappa, shift=shift
        )
        drawn = np.sort(draw_levels(sampler, "visual_degraded", gap, 0.0, 20_000))
        distance = np.abs(
            np.arange(20_000) / 20_000 - np.interp(drawn, levels, p)
        ).max()
        assert distance < 0.15
        expected = distance_to_bands(sampler, pool, bands)
        assert distance == pytest.approx(expected, abs=0.02)
        totals[shift] = 2 + (kappa - 2) * gap
        assert f"drawn {expected:.2f} from its bands" in note
    if kind == "uniform":
        assert totals[1.0] == pytest.approx(16.43, abs=0.05)
    assert totals[5.0] < totals[1.0] / 3


def test_clips_without_scores_are_refused():
    with pytest.raises(InputError, match="2 of 3 clips have no mq or vq"):
        make_sampler("beta", kappa_max=8).sample(
            ["golden"] * 3, [0.1, None, 0.2], [0.1, 0.2, None], numbers()
        )
