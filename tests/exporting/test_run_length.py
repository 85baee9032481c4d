import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.level_distribution import uniform
from tqd_probe.exporting.run_length import (
    DataSet,
    RunLength,
    by_data_set,
    count_clips,
    count_rows,
    has_videos,
    name_of,
    read_data_sets,
    repeats_of,
    together,
    weigh_runs,
    whole_or_none,
)
from tqd_probe.exporting.trainer_format import EVERY, TrainedLevels

SETS = (DataSet("golden", 5, 6), DataSet("others", 20, 0.5))
WHOLE = TrainedLevels(EVERY, uniform(), "uniform", share=1.0)


def test_repeats_weigh_the_data_sets():
    length = RunLength(epochs=3, data_sets=SETS)
    assert (length.epoch_draws, length.draws) == (40, 120)
    assert length.shares == [0.75, 0.25]
    assert [(r.data_set, r.share) for r in by_data_set(WHOLE, length)] == [
        ("golden", 0.75),
        ("others", 0.25),
    ]
    assert length.text() == (
        "3 epochs; an epoch of 40 draws: golden 5 clips x 6, others 20 clips x 0.5"
    )
    ends = RunLength(epochs=3, steps=10, batch=2, data_sets=SETS)
    assert ends.draws == 20
    assert ends.text().startswith("3 epochs or 10 steps of 2 clips, whichever ends")


def test_clips_that_are_not_here_leave_shares_unknown():
    sets = (DataSet("a", None, 2), DataSet("b", 4))
    length = RunLength("launch 1", steps=1, data_sets=sets)
    assert (length.epoch_draws, length.draws, length.shares) == (None, 1, [None, None])
    assert by_data_set(WHOLE, length) == [WHOLE]
    assert length.text() == (
        "launch 1: 1 step of 1 clip; an epoch: a clips not found here x 2, b 4 clips x"
        " 1"
    )
    assert RunLength(epochs=2, data_sets=sets).draws is None
    assert RunLength().text() == ""
    assert RunLength(epochs=1, missing="d.toml").text() == (
        "1 epoch; d.toml not found here, repeats not read"
    )


def test_runs_are_weighed_by_their_lengths():
    high = TrainedLevels("launch 2", uniform(0.5, 1.0), "high", share=1.0)
    lengths = [RunLength(steps=300), RunLength(steps=100)]
    rows = weigh_runs([[WHOLE], [high]], lengths)
    assert [row.share for row in rows] == [0.75, 0.25]
    (both,) = together(rows)
    assert both.share == 1.0
    assert both.levels.mass([(0.5, 1.0)]) == pytest.approx(0.75 / 2 + 0.25)
    unknown = weigh_runs([[WHOLE], [high]], [RunLength(steps=300), RunLength(epochs=1)])
    assert [row.share for row in unknown] == [1.0, 1.0]
    assert together(unknown) == []
    assert together([WHOLE]) == []


def test_what_is_on_this_machine_is_counted(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/1.mp4", "a/2.PNG", "a/1.txt", "a/.hidden.mp4", "a/b/3.mov"):
        (tmp_path / name).touch()
    (tmp_path / "rows.jsonl").write_text("{}\n\n{}\n")
    config = tmp_path / "train.toml"
    assert count_clips(config, "a") == 2
    assert count_clips(config, "a", deep=True) == 3
    assert count_clips(config, "elsewhere") is count_clips(config, None) is None
    assert count_rows(config, "rows.jsonl") == 2
    assert count_rows(config, "other.jsonl") is None
    assert (name_of("x/golden/"), name_of("x/rows.jsonl")) == ("golden", "rows")


def test_faults_are_named(tmp_path):
    config, data = tmp_path / "train.toml", tmp_path / "data.toml"
    assert read_data_sets(config, "data.toml", "datasets") == ({}, [])
    data.write_text("datasets = 3")
    with pytest.raises(InputError, match=r"data.toml: datasets: needs tables"):
        read_data_sets(config, "data.toml", "datasets")
    with pytest.raises(InputError, match=r"num_repeats: 0 must be above 0"):
        repeats_of({"num_repeats": 0}, 1, config)
    with pytest.raises(InputError, match=r"epochs: 0.5 must be a whole number"):
        whole_or_none({"epochs": 0.5}, "epochs", config)
    assert whole_or_none({}, "epochs", config) is None


def test_videos_are_told_from_images(tmp_path):
    (tmp_path / "clips" / "more").mkdir(parents=True)
    (tmp_path / "clips" / "a.png").write_bytes(b"")
    path = tmp_path / "user.yaml"
    assert not has_videos(path, "clips")
    (tmp_path / "clips" / "more" / "b.MP4").write_bytes(b"")
    assert has_videos(path, "clips")
    assert not has_videos(path, "absent")
    assert not has_videos(path, None)
