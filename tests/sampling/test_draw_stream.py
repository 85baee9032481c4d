import numpy as np
import pytest
from sampled_levels import ks_pvalue

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.level_buckets import bucket_index
from tqd_probe.sampling.registry import make_sampler


def draws_of(sampler, pool, count, seed=0):
    stream = DrawStream(sampler, pool, seed)
    draws = [stream.draw(i) for i in range(count)]
    return np.array([d.clip for d in draws]), np.array([d.sigma for d in draws])


@pytest.mark.monte_carlo
def test_keep_probability_acts_at_batch_size_one():
    """Clips are drawn in proportion to max(mq, vq), whatever the batch."""
    pool = ClipPool.of(["golden"] * 3, [0.9, 0.3, 0.1], [0.2, 0.6, 0.1])
    clip, _ = draws_of(make_sampler("beta", kappa_max=8), pool, 8000)
    expected = np.array([0.9, 0.6, 0.1]) / 1.6
    found = np.bincount(clip, minlength=3) / 8000
    assert found == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 8000))


def test_draws_depend_on_the_number_alone():
    pool = ClipPool.of(["golden"] * 5)
    stream = DrawStream(make_sampler("uniform"), pool, 3)
    forward = [stream.draw(i) for i in range(6)]
    again = DrawStream(make_sampler("uniform"), pool, 3)
    assert [again.draw(i) for i in reversed(range(6))] == forward[::-1]
    other = DrawStream(make_sampler("uniform"), pool, 4)
    assert other.draw(0) != forward[0]


def test_samplers_share_the_numbers_of_a_draw():
    """Equal scores and kappa_base 2: the same clips and levels as uniform."""
    pool = ClipPool.of(["golden"] * 7, [0.5] * 7, [0.5] * 7)
    a = draws_of(make_sampler("uniform"), pool, 200)
    b = draws_of(make_sampler("beta", kappa_max=8), pool, 200)
    assert (a[0] == b[0]).all()
    assert a[1] == pytest.approx(b[1], abs=1e-12)


@pytest.mark.monte_carlo
def test_mixture_keeps_the_global_density_and_the_shares(schedule):
    pool = ClipPool.of(
        ["golden"] * 5 + ["visual_degraded"] * 45 + ["motion_degraded"] * 50
    )
    sampler = make_sampler("mixture", schedule=schedule, base="logit_normal")
    clip, sigma = draws_of(sampler, pool, 10_000)
    assert ks_pvalue(sigma, sampler.base.cdf) > 0.01
    for low, high in ((0.15, 0.25), (0.45, 0.55), (0.75, 0.85)):
        rows = (sigma > low) & (sigma < high)
        middle = sigma[rows]
        for name in sampler.weights:
            expected = sampler.weight(name, middle).mean()
            found = (pool.classes[clip[rows]] == name).mean()
            assert abs(found - expected) < 4 * np.sqrt(0.25 / rows.sum())


def test_level_first_bands_keep_the_base_density(schedule):
    pool = ClipPool.of(["golden"] + ["visual_degraded"] * 9)
    sampler = make_sampler("bands", schedule=schedule, order="level")
    clip, sigma = draws_of(sampler, pool, 4000)
    assert ks_pvalue(sigma, "uniform") > 0.01
    assert (clip[sigma < 0.6] == 0).all()  # only golden is admitted there
    # above 0.6 golden has density 1, the others 1 / 0.4 each
    expected = 1 / (1 + 9 / 0.4)
    above = clip[sigma > 0.6] == 0
    assert abs(above.mean() - expected) < 4 * np.sqrt(0.05 / len(above))
    first = make_sampler("bands", schedule=schedule)
    clip, _ = draws_of(first, pool, 4000)
    assert (clip == 0).mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("order", ["clip", "level"])
@pytest.mark.parametrize("name", ["beta", "bands"])
def test_expected_density_is_what_is_drawn(schedule, name, order):
    pool = ClipPool.of(
        ["golden"] * 2 + ["visual_degraded"] * 3,
        [0.8, 0.5, 0.9, 0.7, 0.9],
        [0.8, 0.5, 0.2, 0.3, 0.3],
    )
    sampler = make_sampler(
        name, schedule=schedule, kappa_max=6, order=order, sigma_range=(0.2, 0.9)
    )
    stream = DrawStream(sampler, pool, 1)
    grid = (np.arange(2000) + 0.5) / 2000
    density = stream.class_density(grid)
    assert sum(density.values()).mean() == pytest.approx(1, abs=2e-3)
    clip, sigma = draws_of(sampler, pool, 4000, seed=1)
    assert sigma.min() >= 0.2
    assert sigma.max() <= 0.9
    for value in ("golden", "visual_degraded"):
        rows = pool.classes[clip] == value
        for bucket in range(10):
            expected = density[value][bucket * 200 : bucket * 200 + 200].mean() / 10
            found = (rows & (bucket_index(sigma) == bucket)).mean()
            assert abs(found - expected) < 4.5 * np.sqrt(max(expected, 1e-3) / 4000)


def test_a_class_is_refused_when_the_schedule_lacks_it(schedule):
    pool = ClipPool.of(["golden", "both_degraded"])
    with pytest.raises(InputError, match="'both_degraded', 1 clips: not measured by"):
        DrawStream(make_sampler("bands", schedule=schedule), pool, 0)


@pytest.mark.parametrize("order", ["clip", "level"])
def test_clips_are_drawn_as_often_as_they_are_repeated(order):
    pool = ClipPool.of(["golden"] * 3, repeats=[1, 3, 0.5])
    clip, _ = draws_of(make_sampler("uniform", order=order), pool, 4000)
    found = np.bincount(clip, minlength=3) / 4000
    expected = np.array([1, 3, 0.5]) / 4.5
    assert found == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))
    stream = DrawStream(make_sampler("uniform", order=order), pool, 0)
    assert stream.class_shares(np.array([0, 0.5, 1]))["golden"] == pytest.approx(0.5)
