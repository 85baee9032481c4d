"""Every published shape as its publisher writes it, and broken ones."""

import json

import pytest
from score_files import fault, read, write

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.published.score_file import open_scores


def test_preference_letters_are_no_scores(tmp_path):
    text = "path,prompt,VQ,MQ\na.mp4,A cat,A,same\n"
    fault(write(tmp_path, text), "line 2", "MQ", "'same'", "preferences")


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_neutral_columns(tmp_path, suffix):
    rows = [{"video": "a.mp4", "mq": 0.25, "vq": 1, "source": "web"}]
    text = {
        "csv": "video,mq,vq,source\na.mp4,0.25,1,web\n",
        "json": json.dumps(rows),
        "jsonl": json.dumps(rows[0]),
    }[suffix]
    file, (row,) = read(write(tmp_path, text, f"s.{suffix}"))
    assert file.format == "columns"
    assert (row.video, row.mq, row.vq, row.source) == ("a.mp4", 0.25, 1, "web")


def test_byte_order_mark_crlf_and_quoted_newlines(tmp_path):
    text = 'video,caption,mq,vq\r\na.mp4,"two\r\nlines",0.5,0.25\r\nb.mp4,x,1,A\r\n'
    path = write(tmp_path, text, encoding="utf-8-sig")
    file = open_scores(path)
    rows = file.rows()
    first = next(rows)
    assert (first.video, first.mq, first.vq) == ("a.mp4", 0.5, 0.25)
    assert first.caption == "two\r\nlines"
    with pytest.raises(InputError, match="line 4: vq: 'A'"):
        next(rows)


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("nan", ["'nan'", "finite"]),
        ("inf", ["'inf'", "finite"]),
        ("good", ["'good'", "not a number"]),
        ('"[0.5, 0.6]"', ["list", "one row per clip"]),
        ('"0,5"', ["'0,5'", "not a number"]),
        ("True", ["'True'", "not a number"]),
    ],
)
def test_cells_that_are_no_scores(tmp_path, cell, parts):
    text = f"video,mq,vq\na.mp4,0.5,0.5\nb.mp4,0.5,{cell}\n"
    fault(write(tmp_path, text), "line 3", "vq", *parts)


def test_an_object_is_no_score(tmp_path):
    path = write(tmp_path, '{"video": "a", "mq": {"x": 1}, "vq": 2}\n', "a.jsonl")
    fault(path, "line 1", "mq", "not a number")


def test_empty_cells_are_no_scores_but_no_fault(tmp_path):
    _, (row,) = read(write(tmp_path, "video,mq,vq\na.mp4,,0.5\n"))
    assert (row.mq, row.vq) == (None, 0.5)
    fault(write(tmp_path, "video,mq,vq\n,1,0.5\n"), "line 2", "video", "empty")


def test_unknown_columns_list_what_was_found_and_what_is_known(tmp_path):
    path = write(tmp_path, "clip,beauty,speed\na.mp4,3,4\n")
    fault(path, "clip, beauty, speed", "reward_mq", "technical_score", "--mq-column")
    file, (row,) = read(
        path, video_column="clip", mq_column="Speed", vq_column="beauty"
    )
    assert (file.mq, row.video, row.mq, row.vq) == ("speed", "a.mp4", 4, 3)
    fault(path, "'shine'", "clip, beauty, speed", vq_column="shine")
    path = write(tmp_path, "video,beauty\na.mp4,3\n")
    fault(path, "a motion or visual score", "video, beauty")


def test_rows_left_out_up_to_max_bad(tmp_path):
    path = write(tmp_path, "video,mq,vq\na,1,1\nb,x,1\nc,2,2\nd,y,1\n")
    bad = []
    file = open_scores(path)
    rows = file.rows(bad, max_bad=1)
    assert [next(rows).video, next(rows).video] == ["a", "c"]
    with pytest.raises(InputError, match="2 bad rows"):
        next(rows)
    assert len(bad) == 2
    assert "line 3" in bad[0]
