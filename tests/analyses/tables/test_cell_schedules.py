"""Densities of class and level as tables of cells."""

from types import SimpleNamespace

import numpy as np
import pytest

from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import Curves

MODEL = {
    "family": "wan",
    "source": "x",
    "fingerprint": "sha256:0",
    "expert": None,
    "parameters": "all",
    "prediction": "flow_velocity",
}


def test_gate_trains_less_where_nothing_is_accepted_and_a_floor_keeps_some():
    from analyses.tables.cell_schedules import CELLS, CENTRES, cells_schedule, gate_mass

    low = (CENTRES < 0.5).astype(float)
    counts = {"golden": 10, "visual_degraded": 30, "motion_degraded": 0}
    even = np.ones(CELLS)
    mass = gate_mass({"visual_degraded": low}, counts, 0.0, even)
    assert mass.sum() == pytest.approx(1)
    # Golden 10 everywhere, visual 30 in the lower half: (10 + 30) / 2 + 10 / 2 = 25.
    assert mass[CENTRES < 0.5].sum() == pytest.approx(20 / 25)
    assert mass[CENTRES > 0.5, 1].sum() == 0
    sampler = make_sampler(
        "mixture", schedule=cells_schedule(MODEL, counts, mass, "gate")
    )
    pool = ClipPool.of(list(counts)[:2], [None] * 2, [None] * 2)
    median = sampler.quantile(np.full(2, 0.5), pool)
    assert median[1] == pytest.approx(0.25, abs=0.02)  # visual clips: lower half only
    assert median[0] == pytest.approx(0.5, abs=0.03)
    floored = gate_mass({"visual_degraded": low}, counts, 0.25, even)
    upper = floored[CENTRES > 0.5]
    assert upper[:, 1] / upper[:, 0] == pytest.approx(0.25 * 3)
    steep = gate_mass({}, counts, 0.0, CENTRES)
    assert steep.sum(1) == pytest.approx(CENTRES / CENTRES.sum())


def test_cells_in_bands_are_those_between_their_edges():
    from analyses.tables.cell_schedules import CELLS, CENTRES, cells_schedule, in_bands

    schedule = cells_schedule(MODEL, {"golden": 1}, np.ones((CELLS, 1)), "even")
    bands = {"a": [(0.0, 0.2), (0.7, 1.0)], "b": []}
    classes = {name: Curves.model_construct(bands=some) for name, some in bands.items()}
    found = in_bands(schedule.model_copy(update={"classes": classes}))
    assert found["a"].tolist() == ((CENTRES < 0.2) | (CENTRES > 0.7)).tolist()
    assert found["b"].sum() == 0


def test_worth_rises_with_the_cosine_and_skips_unusable_pairs():
    from analyses.tables.cell_schedules import CENTRES, by_worth, worth_curve

    def point(cosine, share, used=True):
        return {
            "predicted": {"cosine": cosine},
            "used": used,
            "achieved": {"share of golden gain": share},
        }

    worth = worth_curve(
        [
            point(0.9, -0.4),
            point(0.92, 0.8),
            point(0.94, 0.2),
            point(0.98, 0.9),
            point(0.99, -5.0, used=False),
        ]
    )
    # Pool adjacent violators: 0.8 and 0.2 become 0.5 each; below 0 nothing is worth.
    assert worth(np.array([0.5, 0.9])) == pytest.approx([0, 0])
    assert worth(np.array([0.92, 0.93, 0.94])) == pytest.approx([0.5] * 3)
    assert worth(np.array([0.98, 1.0, 1.02])) == pytest.approx([0.9, 1.0, 1.0])
    result = SimpleNamespace(  # of a ProbeResult, what is read
        noise=SimpleNamespace(levels=[0.2, 0.8]),
        subjects={
            "visual_degraded": SimpleNamespace(kind="class", cosine=[None, 1.0]),
            "blur:3": SimpleNamespace(kind="degradation", cosine=[0.0, 0.0]),
        },
    )
    found = by_worth(result, worth)
    assert list(found) == ["visual_degraded"]
    expected = np.clip((CENTRES - 0.2) / 0.6, 0, 1)  # unresolved: 0; linear between
    assert found["visual_degraded"] == pytest.approx(expected)


def test_signal_is_relative_to_the_strongest_level_and_never_below_a_quarter():
    from analyses.tables.cell_schedules import CENTRES, by_signal

    result = SimpleNamespace(
        noise=SimpleNamespace(levels=[0.01, 0.99]),
        golden=SimpleNamespace(signal=[4.0, -1.0]),
    )
    found = by_signal(result)
    assert found[0] == pytest.approx(1)
    assert found[-1] == pytest.approx(0.25)
    assert np.interp(0.5, CENTRES, found) == pytest.approx(0.625)
