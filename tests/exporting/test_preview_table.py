from pathlib import Path

import numpy as np
import pytest
from band_schedules import VERSION_2

from tqd_probe.exporting.level_distribution import mixture, point, uniform
from tqd_probe.exporting.preview_table import (
    PLAIN_BLOCKS,
    band_rows,
    bucket_shares,
    class_of,
    intervals_of,
    preview_text,
    rated_shares,
)
from tqd_probe.exporting.trainer_format import TimestepPreview, TrainedLevels
from tqd_probe.schedules.band_schedule import BandSchedule

SCHEDULE = BandSchedule.model_validate(VERSION_2)
CLAMPED = mixture([(0.3, uniform(0.875, 1.0)), (0.7, point(0.875))])
PREVIEW = TimestepPreview(
    trainer="a trainer",
    source=Path("train.toml"),
    trained=[
        TrainedLevels("all data sets", uniform(), "uniform", share=0.75),
        TrainedLevels("clips of one kind in a long folder", CLAMPED, "clamp", "high"),
    ],
    traps=["min_t: ignored in [adapter]; move it to [model]"],
    notes=["word " * 30],
    lengths=["3 epochs"],
)


def test_shares_of_buckets():
    assert bucket_shares(PREVIEW.trained[0]) == pytest.approx(np.full(10, 0.1))
    shares = bucket_shares(PREVIEW.trained[1])
    assert shares == pytest.approx([0] * 8 + [0.7 + 0.3 * 0.2, 0.3 * 0.8])
    on_an_edge = bucket_shares(TrainedLevels("x", point(0.9), ""))
    assert on_an_edge.argmax() == 9


def test_shares_of_the_bands():
    assert intervals_of(SCHEDULE, "visual_degraded") == {
        "use": [(0.1, 0.2), (0.72, 1.0)],
        "test": [(0.2, 0.3), (0.6, 0.72)],
        "avoid": [(0.05, 0.1), (0.3, 0.6)],
    }
    found = rated_shares(PREVIEW.trained[0], SCHEDULE, "visual_degraded")
    assert found == pytest.approx([0.38, 0.22, 0.35])
    rows = band_rows(PREVIEW, SCHEDULE)
    assert rows[0] == "bands of tiny: # use, ~ test, . avoid"
    marks = "   ...######~~~~~~" + 18 * "." + 7 * "~" + 17 * "#"
    assert rows[1] == f"{'  visual_degraded':<39}{marks}"
    rows = rows[2:]
    assert rows[2].split()[-4:] == ["visual_degraded", "38.0", "22.0", "35.0"]
    assert rows[3].startswith("... kind in a long folder high")
    assert rows[3].split()[-4:] == ["visual_degraded", "100.0", "0.0", "0.0"]


def test_the_text_says_all_of_it():
    lines = preview_text(PREVIEW, SCHEDULE).splitlines()
    assert lines[0] == "a trainer: train.toml"
    assert lines[3].split() == ["all", "data", "sets", "75.0", *["10.0"] * 10]
    assert lines[4] == f"{'  uniform':<39}{60 * '█'}"
    assert lines[5].split()[-11:] == ["high", *["0.0"] * 8, "76.0", "24.0"]
    full = "  clamp (70 % at exactly 0.875)"
    assert lines[6] == f"{full:<39}{52 * ' '}█▁▁▁▁▁▁▁"
    assert "trap: min_t: ignored in [adapter]; move it to [model]" in lines
    assert "length: 3 epochs" in lines
    assert all(len(line) <= 99 for line in lines)
    assert "avoid" not in preview_text(PREVIEW, None)


def test_data_sets_of_a_class_are_weighed_and_held_against_it_alone():
    low, high = uniform(0.0, 0.5), uniform(0.5, 1.0)
    rows = [
        TrainedLevels("clips-visual_degraded", high, "high", share=0.75),
        TrainedLevels("launch 2: motion_degraded", low, "low", share=0.25),
    ]
    preview = TimestepPreview("a trainer", Path("train.toml"), rows)
    lines = preview_text(preview, SCHEDULE, PLAIN_BLOCKS).splitlines()
    assert lines[4] == f"{'  high':<69}{30 * '#'}"
    assert lines[7].split() == ["together", "100.0", *["5.0"] * 5, *["15.0"] * 5]
    assert lines[8] == f"{'  by the shares of draws':<39}{30 * '-'}{30 * '#'}"
    assert [line.split()[-3:] for line in lines[-1:]] == [["56.0", "24.0", "20.0"]]
    assert "motion_degraded" not in lines[-1]  # not measured
    assert class_of("not_golden") is class_of("golden clips") is None
    assert class_of("all data sets: golden") == "golden"
