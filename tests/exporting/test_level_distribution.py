import numpy as np
import pytest
from scipy.stats import beta as scipy_beta
from scipy.stats import kstest

from tqd_probe.exporting import level_distribution as ld
from tqd_probe.sampling.bands import BandSampler
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.clip_pool import ClipPool

PLACES = np.linspace(0, 1, 101)
EDGES = np.linspace(0, 1, 51)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("kind", ["uniform", "logit_normal"])
def test_shifted_densities_are_those_of_the_samplers(kind, shift):
    base = ld.uniform() if kind == "uniform" else ld.logit_normal()
    own = BaseDensity(kind, shift=shift)
    assert base.shifted(shift).cdf(PLACES) == pytest.approx(own.cdf(PLACES))


def test_a_restriction_is_what_the_sampler_bands_draws(schedule):
    base = BaseDensity("logit_normal", shift=3.0)
    sampler = BandSampler(base, schedule)
    bands = schedule.classes["visual_degraded"].bands
    clips = ClipPool.of(["visual_degraded"])
    wanted = sampler.cumulative(PLACES, clips)[0]
    cut = ld.logit_normal().shifted(3.0).restricted(bands)
    assert cut.cdf(PLACES) == pytest.approx(wanted)


def test_operations_on_levels_of_positive_probability():
    grid = ld.weighted(np.array([0.2, 0.5, 0.2, 0.8]), np.array([0.1, 0.3, 0.2, 0.4]))
    assert grid.points.tolist() == [0.2, 0.5, 0.8]
    assert grid.masses == pytest.approx([0.3, 0.3, 0.4])
    assert grid.cdf(np.array([0.2, 0.5])) == pytest.approx([0.3, 0.6])
    assert grid.cdf(np.array([0.2, 0.5]), "left") == pytest.approx([0.0, 0.3])
    assert grid.reversed().points == pytest.approx([0.2, 0.5, 0.8])
    assert grid.reversed().masses == pytest.approx([0.4, 0.3, 0.3])
    assert grid.restricted([(0.5, 0.8)]).masses == pytest.approx([3 / 7, 4 / 7])
    assert grid.shifted(3.0).points == pytest.approx([0.6 / 1.4, 0.75, 2.4 / 2.6])
    assert grid.rescaled(0.5, 0.7).points == pytest.approx([0.54, 0.6, 0.66])
    assert grid.mass([(0.0, 0.2), (0.7, 1.0)]) == pytest.approx(0.7)


def test_clamping_collects_what_lies_outside():
    clamped = ld.uniform().shifted(3.0).clamped(0.875, 1.0)
    below = 0.875 / (3 - 2 * 0.875)
    assert clamped.atoms() == [(0.875, pytest.approx(below))]
    assert clamped.cdf(np.array([0.87, 0.875, 1.0])) == pytest.approx([0, below, 1])
    whole = ld.on_grid(np.array([0.1, 0.4, 0.9])).clamped(0.3, 0.5)
    assert whole.points.tolist() == [0.3, 0.4, 0.5]
    assert whole.masses == pytest.approx([1 / 3] * 3)


def test_squeezing_keeps_the_shape():
    squeezed = ld.logit_normal().rescaled(0.6, 0.9)
    assert squeezed.cdf(np.array([0.6, 0.75, 0.9])) == pytest.approx([0, 0.5, 1])
    assert ld.uniform(0.2, 0.4).cdf(np.array([0.1, 0.25, 0.5])) == pytest.approx(
        [0, 0.25, 1]
    )
    assert ld.uniform().rescaled(0.3, 0.3).points.tolist() == [0.3]


def test_picking_from_a_list_by_a_density():
    falling = np.array([1.0, 0.75, 0.5, 0.25])
    picked = ld.beta(2, 1).picked(falling)  # distribution function u ** 2
    assert picked.points.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert picked.masses == pytest.approx([7 / 16, 5 / 16, 3 / 16, 1 / 16])


def test_mode_and_beta_and_a_point():
    rng = np.random.default_rng(0)
    v = rng.random(20_000)
    u = 1 - v - 1.29 * (np.cos(np.pi * v / 2) ** 2 - 1 + v)
    assert kstest(u, ld.mode(1.29).cdf).statistic < 0.012
    assert ld.beta(3.9, 1.7).cdf(PLACES) == pytest.approx(
        scipy_beta(3.9, 1.7).cdf(PLACES)
    )
    assert ld.logit_normal(1.0, 0.0).points == pytest.approx([1 / (1 + np.exp(-1))])


def test_a_mixture_adds_both_parts():
    mixed = ld.mixture([(3.0, ld.uniform()), (1.0, ld.point(0.5))])
    assert mixed.cdf(np.array([0.4, 0.5, 1.0])) == pytest.approx([0.3, 0.625, 1.0])
    assert mixed.cdf(np.array([0.5]), "left") == pytest.approx([0.375])


def test_densities_spread_grids_and_leave_atoms_out():
    fine = ld.on_grid((np.arange(1000) + 0.5) / 1000)
    assert fine.density(EDGES) == pytest.approx(np.ones(50), abs=1e-6)
    assert fine.atoms() == []
    some = ld.mixture([(0.6, fine), (0.4, ld.point(0.9))])
    assert some.atoms() == [(0.9, pytest.approx(0.4))]
    assert some.density(EDGES) == pytest.approx(np.full(50, 0.6), abs=1e-6)
    few = ld.on_grid(np.array([0.25, 0.75]))
    assert few.density(EDGES).sum() == 0
    assert len(few.atoms()) == 2


def test_distances_are_exact():
    assert ld.ks_distance(ld.uniform(), ld.uniform(0.25, 1.0)) == pytest.approx(0.25)
    assert ld.ks_distance(ld.uniform(), ld.point(0.3)) == pytest.approx(0.7)
    grid = ld.on_grid(np.arange(1, 1001) / 1000)
    assert ld.ks_distance(ld.uniform(), grid) == pytest.approx(0.001)
    assert ld.ks_distance(grid, grid) == 0


def test_what_is_never_drawn_cannot_be_kept():
    with pytest.raises(ValueError, match="no level is ever drawn"):
        ld.uniform(0.0, 0.5).restricted([(0.6, 0.9)])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shift", [1e-300, 1e-30, 1e-9, 1e9, 1e30, 1e300])
@pytest.mark.parametrize("base", [ld.uniform(), ld.logit_normal(), ld.on_grid(EDGES)])
def test_extreme_shifts_keep_all_levels(base, shift):
    """Nothing is divided by zero; all levels lie at one end."""
    moved = base.shifted(shift)
    assert moved.cdf(np.array([0.0, 1.0]))[1] == pytest.approx(1.0)
    assert (np.diff(moved.cdf(PLACES)) >= 0).all()
    spread = moved.density(EDGES).sum() / 50 + sum(mass for _, mass in moved.atoms())
    assert spread == pytest.approx(1.0, abs=0.03)
    end = [(0.0, 0.001)] if shift < 1 else [(0.999, 1.0)]
    assert moved.mass(end) > 0.95


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("std", [1e-300, 1e-9, 1e9, 1e300])
def test_extreme_widths_have_the_limit_as_their_density(std):
    found = ld.logit_normal(0.0, std)
    middle, ends = found.mass([(0.45, 0.55)]), found.mass([(0, 0.01), (0.99, 1)])
    assert (middle, ends) == pytest.approx(
        (1.0, 0.0) if std < 1 else (0.0, 1.0), abs=1e-6
    )
    assert np.isfinite(found.density(EDGES)).all()
