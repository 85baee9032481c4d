import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.class_plan import ClassPlan
from tqd_probe.exporting.level_distribution import uniform
from tqd_probe.exporting.writers.export_job import (
    band_runs,
    is_whole,
    left_out_text,
    split_count,
)

TWO = [(0.0, 0.2), (0.4, 0.6)]
PLANS = [
    ClassPlan("golden", [], [(0.0, 1.0)], uniform(), 0.5, [1.0]),
    ClassPlan(
        "motion_degraded", [], [(0, 0.2), (0.4, 0.6)], uniform(), 0.5, [0.8, 0.2]
    ),
]


def test_golden_clips_are_trained_last():
    runs = band_runs(PLANS)
    assert [run.name for run in runs] == [
        "1-motion_degraded-1",
        "2-motion_degraded-2",
        "3-golden",
    ]
    assert [run.whole_share for run in runs] == pytest.approx([0.4, 0.1, 0.5])
    assert [run.band for run in runs] == [*TWO, (0.0, 1.0)]


def test_steps_follow_the_draws():
    assert split_count(1000, band_runs(PLANS), "x") == [400, 100, 500]
    with pytest.raises(InputError, match="x: 3 steps are too few for 3 runs"):
        split_count(3, band_runs(PLANS), "x")


def test_small_words():
    assert is_whole([(0.0, 1.0)])
    assert not is_whole([(0.0, 0.9)])
    assert left_out_text(["a"]) == ["a: no band; its clips are left out"]
    assert "in the levels of the high-noise network" in left_out_text(["a"], "high")[0]
