from itertools import pairwise

import numpy as np
import pytest
from sampled_levels import COUNT, draw_levels, numbers

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import SAMPLERS, make_sampler


def test_equal_scores_give_exactly_the_uniform_base():
    tqd = make_sampler("beta", kappa_max=8)
    assert tqd.kappa_base == 2
    found = draw_levels(tqd, mq=0.6, vq=0.6)
    assert abs(found - draw_levels(make_sampler("uniform"))).max() < 1e-9
    assert make_sampler("beta", base="logit_normal", kappa_max=8).kappa_base == 4
    assert make_sampler("beta").kappa_max == 8


@pytest.mark.parametrize("name", ["uniform", "logit_normal", "beta"])
def test_u_and_sigma_spaces_differ_by_the_shift(name):
    """space=u: the shift follows the draw; space=sigma: the draw is sigma."""
    options = {"kappa_max": 8, "shift": 5.0}
    u = draw_levels(make_sampler(name, space="u", **options), mq=0.7, vq=0.3)
    sigma = draw_levels(make_sampler(name, space="sigma", **options), mq=0.7, vq=0.3)
    inside = (u > 1e-5) & (u < 1 - 1e-5)
    assert abs(u - shift_sigma(sigma, 5.0))[inside].max() < 1e-9


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("sigma_range", [(0.0, 1.0), (0.875, 1.0), (0.0, 0.875)])
def test_density_distribution_and_quantile_agree(
    schedule_with_density, name, sigma_range
):
    """Each sampler's draws follow the density it states, on an expert's range too."""
    schedule = schedule_with_density
    sampler = make_sampler(
        name, schedule=schedule, kappa_max=8, sigma_range=sigma_range, shift=1.5
    )
    clip = ClipPool.of(["visual_degraded"], [0.7], [0.3])
    edges = np.linspace(*sigma_range, 11)
    fine = np.linspace(*sigma_range, 10_001)[1:-1]
    density = sampler.density(fine, clip)[0]
    levels = (
        draw_levels(sampler, "visual_degraded", 0.7, 0.3)
        if name != "mixture"
        else (sampler.quantile(numbers().random(COUNT), clip.take([0] * COUNT)))
    )
    assert levels.min() >= sigma_range[0]
    assert levels.max() <= sigma_range[1]
    found = np.histogram(levels, edges)[0] / COUNT
    width = fine[1] - fine[0]
    expected = [
        density[(fine >= a) & (fine < b)].sum() * width for a, b in pairwise(edges)
    ]
    assert found == pytest.approx(np.array(expected), abs=5e-3)


def test_unknown_names_and_missing_schedules_are_refused():
    with pytest.raises(InputError, match="choose from uniform, logit_normal"):
        make_sampler("gamma")
    for name in ("bands", "mixture"):
        with pytest.raises(InputError, match="needs --schedule"):
            make_sampler(name)


def test_a_measured_base_is_the_schedules_density(schedule_with_density):
    """Of sigma: neither shift nor timesteps apply."""
    options = {"schedule": schedule_with_density, "shift": 5.0}
    clip = ClipPool.of(["visual_degraded"], [0.7], [0.3])
    levels = np.array([0.05, 0.3, 0.7, 0.95])
    alone = make_sampler("measured", **options)
    assert alone.name == "measured"
    assert alone.density(levels, clip)[0] == pytest.approx(
        np.array([4, 3, 1.5, 1]) / 2.3
    )
    inside = make_sampler("bands", base="measured", **options)
    mass = 0.3 * (1.75 + 1) / 2 + 0.1  # of 2.3, in the band .6 to 1
    assert inside.density(np.array([0.7, 0.5]), clip)[0] == pytest.approx(
        [1.5 / mass, 0]
    )
    mixed = make_sampler("mixture", base="measured", **options)
    assert mixed.base.pdf(levels) == pytest.approx(alone.base.pdf(levels))


def test_what_a_measured_base_needs_is_named(schedule):
    """The schedule here has no density."""
    assert make_sampler("uniform", base="measured").base.kind == "uniform"
    with pytest.raises(InputError, match="--sampler measured: needs --schedule"):
        make_sampler("measured")
    with pytest.raises(InputError, match="--base measured: --sampler beta draws u"):
        make_sampler("beta", base="measured", schedule=schedule)
    for name, base in (("measured", "uniform"), ("bands", "measured")):
        with pytest.raises(InputError, match="--schedule: density: null or missing"):
            make_sampler(name, base=base, schedule=schedule)
