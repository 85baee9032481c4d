import tracemalloc

import pytest
from converted_scores import run

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.published.convert import convert
from tqd_probe.scoring.score_columns import collect_scores
from tqd_probe.scoring.score_row import ScoreRow
from tqd_probe.scoring.score_table import ClassificationRule
from tqd_probe.scoring.thresholds import parse_threshold


def test_duplicates_name_both_places(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("video,mq,vq\na.mp4,1,1\nb.mp4,2,2\na.mp4,3,3\n")
    with pytest.raises(InputError, match=r"line 4: a\.mp4 is already in line 2"):
        run(path, tmp_path / "o.csv")
    assert not list(tmp_path.glob("*o.*"))


def test_memory_stays_small_on_a_long_file(tmp_path):
    path, count = tmp_path / "koala.csv", 6_000
    caption = "a man walks, slowly; " * 100
    with open(path, "w") as handle:
        handle.write("videoID,caption,clarity_score,motion_score,")
        handle.write("video_training_suitability_score\n")
        for n in range(count):
            handle.write(f'v{n},"{caption}",{n / count},{(n * 7919) % count},0\n')
    size = path.stat().st_size
    assert size > 12e6
    tracemalloc.start()
    summary, _ = convert(
        path,
        tmp_path / "o.csv",
        ClassificationRule("quantile", parse_threshold("0.5"), parse_threshold("0.5")),
        {},
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary["clips"] == count
    assert sum(summary["classes"].values()) == count
    # 24 bytes per clip, the sorted copies of two columns, and a constant.
    assert peak < 120 * count + 3e6  # blocks hold their captions
    assert peak < size / 2.4


def test_missing_scores_are_left_out():
    rows = [ScoreRow("a", 1.0, None), ScoreRow("b", None, 2.0), ScoreRow("c", 3.0, 4.0)]
    columns = collect_scores(rows)
    assert columns.present("mq").tolist() == [1.0, 3.0]
    assert columns.present("vq").tolist() == [2.0, 4.0]
    assert len(columns.names) == 3
