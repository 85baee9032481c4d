import json

import pytest

from tqd_probe.clips.manifest import read_manifest
from tqd_probe.core.clip_classes import CLASSES
from tqd_probe.core.errors import InputError

HEADER = "video,caption,mq,vq,class,source\n"


def write(tmp_path, text, name="clips.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def fault(path, *parts):
    with pytest.raises(InputError) as error:
        read_manifest(path)
    text = str(error.value)
    assert text.startswith(str(path)), text
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_csv_rows(tmp_path):
    path = write(
        tmp_path,
        HEADER
        + 'a.mp4,"a cat, asleep",0.25,1,golden,web\n'
        + "\n"
        + "sub/../b.mp4, a dog ,,0.5,Motion_Degraded,\n"
        + f"{tmp_path}/c.mp4,a bird,,,,\n",
    )
    one, two, three = read_manifest(path)
    assert one.video == tmp_path / "a.mp4"
    assert (one.caption, one.mq, one.vq) == ("a cat, asleep", 0.25, 1.0)
    assert (one.class_, one.source) == ("golden", "web")
    assert two.video == tmp_path / "b.mp4"
    assert (two.caption, two.mq, two.vq) == ("a dog", None, 0.5)
    assert (two.class_, two.source) == ("motion_degraded", None)
    assert three.video == tmp_path / "c.mp4"
    assert (three.mq, three.vq, three.class_) == (None, None, None)


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_json_rows_equal_csv_rows(tmp_path, suffix):
    rows = [
        {"video": "a.mp4", "caption": "a cat", "mq": 0.25, "vq": 1, "class": "golden"},
        {"video": "b.mp4", "caption": "a dog", "mq": None, "source": 7, "extra": [1]},
    ]
    if suffix == "json":
        text = json.dumps(rows, indent=1)
    else:
        text = "\n\n".join(json.dumps(row) for row in rows) + "\n"
    one, two = read_manifest(write(tmp_path, text, f"clips.{suffix}"))
    assert (one.mq, one.vq, one.class_, one.source) == (0.25, 1.0, "golden", None)
    assert (two.mq, two.vq, two.source) == (None, None, "7")
    assert two.model_extra == {"extra": [1]}


@pytest.mark.parametrize(
    ("header", "video", "mq", "vq"),
    [
        ("path,caption,reward_MQ,reward_VQ", "path", "reward_MQ", "reward_VQ"),
        (
            "video,caption,aesthetic score,motion score",
            "video",
            "motion score",
            "aesthetic score",
        ),
        (
            "videoID,caption,clarity_score,aesthetic_score,motion_score",
            "videoID",
            "motion_score",
            "clarity_score",
        ),
        (
            "path, caption, aesthetic score, technical score, overall/final score",
            "path",
            None,
            "technical score",
        ),
        (
            "File,Caption,Dynamic-Degree,overall/final score",
            "File",
            "Dynamic-Degree",
            "overall/final score",
        ),
        ("id,video,caption,VQ,MQ", "video", "MQ", "VQ"),
        ("clip_id,caption,flow,aes", "clip_id", "flow", "aes"),
    ],
)
def test_public_columns(tmp_path, header, video, mq, vq):
    columns = [name.strip() for name in header.split(",")]
    cells = {name: f"0.{n + 1}" for n, name in enumerate(columns)}
    cells |= {video: "a.mp4"}
    cells |= {name: "a cat" for name in columns if name.lower() == "caption"}
    path = write(tmp_path, header + "\n" + ",".join(cells[c] for c in columns) + "\n")
    (row,) = read_manifest(path)
    assert row.video == tmp_path / "a.mp4"
    assert row.caption == "a cat"
    assert row.mq == (float(cells[mq]) if mq else None)
    assert row.vq == (float(cells[vq]) if vq else None)
    left = {c for c in columns if c not in (video, mq, vq) and c.lower() != "caption"}
    assert set(row.model_extra) == left  # kept, unread


def test_byte_order_mark(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_text("video,caption\na.mp4,a cat\n", encoding="utf-8-sig")
    assert read_manifest(path)[0].caption == "a cat"


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("b.mp4,x,1.2,,,", ["line 3", "mq", "1.2", "[0, 1]", "scale the column"]),
        ("b.mp4,x,,-0.1,,", ["line 3", "vq", "-0.1", "[0, 1]"]),
        ("b.mp4,x,nan,,,", ["line 3", "mq", "'nan'", "not a number"]),
        ("b.mp4,x,,inf,,", ["line 3", "vq", "'inf'", "not a number"]),
        ("b.mp4,x,A,B,,", ["line 3", "mq", "'A'", "preferences"]),
        ("b.mp4,x,,,blurry,", ["line 3", "class", "'blurry'", *CLASSES]),
        ("b.mp4,,,,,", ["line 3", "caption", "empty", "fill"]),
        (",x,,,,", ["line 3", "video", "empty"]),
        ("a\0b.mp4,x,,,,", ["line 3", "video", "NUL"]),
        ("x" * 300 + ".mp4,x,,,,", ["line 3", "video", "longer"]),
        ("a.mp4,x,,,,", ["line 3", "video", "a.mp4", "line 2", "keep one"]),
        ("./sub/../a.mp4,x,,,,", ["line 3", "video", "line 2"]),
        ("b.mp4,x,,", ["line 3", "4 cells", "6 columns", "quote"]),
        ('b.mp4,"x,,,,', ["line 3", "CSV", "quotes"]),
    ],
)
def test_faults_of_a_row(tmp_path, row, parts):
    fault(write(tmp_path, HEADER + "a.mp4,a cat,,,,\n" + row + "\n"), *parts)


def test_fault_names_the_column_of_the_file(tmp_path):
    path = write(tmp_path, "path,caption,Motion Score\na.mp4,x,7.5\n")
    fault(path, "line 2", "Motion Score", "7.5")


def test_multi_line_captions_keep_the_line_number(tmp_path):
    text = HEADER + 'a.mp4,"two\nlines",,,,\nb.mp4,x,2,,,\n'
    fault(write(tmp_path, text), "line 4", "mq")


@pytest.mark.parametrize(
    ("header", "missing"), [("mp4,caption", "video"), ("video,note", "caption")]
)
def test_missing_column(tmp_path, header, missing):
    path = write(tmp_path, header + "\na,b\n")
    fault(path, f"column {missing!r} is missing", *header.split(","))


def test_ambiguous_columns(tmp_path):
    fault(write(tmp_path, "video,video,caption\na,b,c\n"), "'video' appears twice")
    fault(write(tmp_path, "video,caption,MQ,mq\na,b,0,1\n"), "'MQ' and 'mq'", "rename")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", HEADER),
        ("a.json", ""),
        ("a.json", "[]"),
        ("a.jsonl", "\n\n"),
    ],
)
def test_empty_file(tmp_path, name, text):
    fault(write(tmp_path, text, name), "no rows", "add one")


def test_bad_json(tmp_path):
    good = '{"video": "a.mp4", "caption": "x"}'
    fault(write(tmp_path, good + "\n{oops\n", "a.jsonl"), "line 2", "not JSON")
    fault(write(tmp_path, good + "\n[1]\n", "a.jsonl"), "line 2", "not an object")
    fault(write(tmp_path, "[\n" + good + "\n{}]", "a.json"), "line 3", "not JSON")
    fault(write(tmp_path, good, "a.json"), "not a list")
    fault(write(tmp_path, f"[{good}, 3]", "a.json"), "item 2", "not an object")
    score = good[:-1] + ', "mq": %s}'
    fault(write(tmp_path, score % "NaN", "a.jsonl"), "line 1", "mq", "not a number")
    fault(write(tmp_path, score % "true", "a.jsonl"), "line 1", "mq", "not a number")
    fault(write(tmp_path, score % "[0.5]", "a.jsonl"), "line 1", "mq", "not a number")


def test_files_that_cannot_be_read(tmp_path):
    fault(tmp_path / "absent.csv", "no such file")
    fault(write(tmp_path, "x", "clips.txt"), "'.txt'", ".csv", "musubi-tuner")
    fault(write(tmp_path, "x: 1", "data.yaml"), "'.yaml'", "SimpleTuner")
    path = tmp_path / "latin.csv"
    path.write_bytes(b"video,caption\na.mp4,caf\xe9\n")
    fault(path, "UTF-8")
