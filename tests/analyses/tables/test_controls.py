import numpy as np
import pytest

from analyses.tables.cell_schedules import CELLS, CENTRES
from analyses.tables.controls import band_shares, class_alone, permuted, same_density
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler

COUNTS = {"golden": 0, "visual_degraded": 30, "motion_degraded": 10}
EDGES = np.arange(CELLS + 1) / CELLS


def drawn(schedule, timesteps=None):
    """Shares of cells and classes that training by a schedule comes to."""
    clips = [c for c, count in COUNTS.items() for _ in range(count)]
    sampler = make_sampler("mixture", schedule=schedule, timesteps=timesteps)
    stream = DrawStream(sampler, ClipPool.of(clips), 0)
    shares = stream.class_shares(EDGES)
    return np.stack([shares[name] for name in list(COUNTS)[1:]], 1)


def test_permuted_bands_change_places(schedule):
    found, bands = permuted(schedule).classes, schedule.classes
    assert found["visual_degraded"].bands == bands["motion_degraded"].bands
    assert found["motion_degraded"].bands == bands["visual_degraded"].bands
    assert schedule.classes["visual_degraded"].bands == [(0.6, 1.0)]


def test_the_same_density_has_the_levels_and_classes_of_the_bands(schedule):
    bands = band_shares(schedule, COUNTS)[:, 1:]
    # visual 3 / 4 of draws over (.6, 1); motion 1 / 4 over (0, .3) and (.5, .7)
    assert bands[40] == pytest.approx([0.75 * 0.02 / 0.4, 0])
    assert bands[31] == pytest.approx([0.75 * 0.02 / 0.4, 0.25 * 0.02 / 0.5])
    found = drawn(same_density(schedule, COUNTS))
    assert found.sum(1) == pytest.approx(bands.sum(1), abs=2e-3)
    assert found.sum(0) == pytest.approx([0.75, 0.25])
    trained = found.sum(1) > 0
    assert (found[trained, 0] / found[trained].sum(1)) == pytest.approx(0.75)


def test_class_alone_leaves_levels_uniform(schedule):
    found = drawn(class_alone(schedule, COUNTS))
    assert found.sum(1) == pytest.approx(np.full(CELLS, 1 / CELLS), abs=3e-3)
    share = found[:, 0] / found.sum(1)
    assert share[CENTRES > 0.73] == pytest.approx(1)  # visual bands alone
    assert share[CENTRES < 0.28] == pytest.approx(0, abs=1e-9)  # motion alone
    outside = (CENTRES > 0.33) & (CENTRES < 0.47)
    assert share[outside] == pytest.approx(0.75)


def test_controls_have_the_levels_of_a_family_with_timesteps(schedule):
    """CogVideoX trains uniform timesteps, which crowd at high sigma."""
    timesteps = np.linspace(0.2, 1, 1000) ** 0.5
    bands = band_shares(schedule, COUNTS, timesteps)[:, 1:]
    assert bands[:22].sum() == 0  # below sqrt(0.2) = 0.447 nothing is trained
    # visual 3 / 4 of draws over (.6, 1), where u = (sigma^2 - 0.2) / 0.8
    at = (np.array([0.8, 0.82, 0.6, 1.0]) ** 2 - 0.2) / 0.8
    wanted = 0.75 * (at[1] - at[0]) / (at[3] - at[2])
    assert bands[40] == pytest.approx([wanted, 0], rel=0.03)
    same = drawn(same_density(schedule, COUNTS, timesteps), timesteps=timesteps)
    # Levels are those of whole timesteps, a thousandth of all draws each.
    assert same.sum(1) == pytest.approx(bands.sum(1), abs=3e-3)
    alone = drawn(class_alone(schedule, COUNTS, timesteps), timesteps=timesteps)
    assert alone.sum(1)[40] == pytest.approx(at[1] - at[0], abs=3e-3)


def test_without_bands_there_is_nothing_to_control(schedule):
    bare = schedule.model_copy(deep=True)
    for curves in bare.classes.values():
        curves.bands = []
    assert same_density(bare, COUNTS) is bare
    assert class_alone(bare, COUNTS) is bare
    with_golden = class_alone(bare, COUNTS | {"golden": 5})
    assert with_golden.mixture.weights == [[1, 0, 0]] * CELLS
