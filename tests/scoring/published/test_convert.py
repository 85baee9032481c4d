import json
from pathlib import Path

import numpy as np
import pytest
from converted_scores import run, videoalign

from tqd_probe.clips.manifest import read_manifest
from tqd_probe.core.errors import InputError


def test_rows_numbers_and_classes(tmp_path):
    path = videoalign(tmp_path, [1, 2, 3, 4], [4, 1, 3, 2])
    summary, rows, _ = run(path, tmp_path / "o.csv")
    assert list(rows[0])[:7] == [
        "video",
        "mq",
        "vq",
        "mq_raw",
        "vq_raw",
        "components",
        "class",
    ]
    assert [float(row["mq"]) for row in rows] == [0.125, 0.375, 0.625, 0.875]
    assert [float(row["vq"]) for row in rows] == [0.875, 0.125, 0.625, 0.375]
    assert [float(row["mq_raw"]) for row in rows] == [1, 2, 3, 4]
    assert [row["class"] for row in rows] == [
        "motion_degraded",
        "both_degraded",
        "golden",
        "visual_degraded",
    ]
    assert summary["classes"] == dict.fromkeys(summary["classes"], 1)
    assert summary["normalisation"] == "quantile"
    assert summary["columns"]["mq"]["raw_quartiles"] == [1, 1.75, 2.5, 3.25, 4]
    written = json.loads((tmp_path / "o.summary.json").read_text())
    assert written["published_as"] == "videoalign"


def test_quantile_thresholds_choose_a_share(tmp_path):
    rng = np.random.default_rng(0)
    path = videoalign(tmp_path, rng.normal(size=100), rng.normal(size=100))
    summary, rows, _ = run(path, tmp_path / "o.csv", mq="q0.8", vq="0")
    assert summary["classes"]["golden"] == 20
    assert summary["classes"]["motion_degraded"] == 80
    assert (
        sum(float(row["mq"]) >= summary["columns"]["mq"]["threshold"] for row in rows)
        == 20
    )


def test_videoalign_scale_is_recorded(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=50), rng.normal(size=50)
    summary, _, _ = run(videoalign(tmp_path, a, b), tmp_path / "o.csv")
    assert (summary["scale"], summary["scale_from"]) == ("normalised", "medians")
    raw = videoalign(tmp_path, 1.1646 + 1.3811 * a, 3.6757 + 2.2476 * b)
    summary, rows, _ = run(raw, tmp_path / "p.csv")
    assert summary["scale"] == "raw"
    assert float(rows[0]["vq_raw"]) == pytest.approx(3.6757 + 2.2476 * b[0])
    summary, _, _ = run(raw, tmp_path / "q.csv", scale="normalised")
    assert (summary["scale"], summary["scale_from"]) == ("normalised", "option")
    plain = tmp_path / "plain.csv"
    plain.write_text("video,mq,vq\na,1,1\nb,2,2\n")
    with pytest.raises(InputError, match="belongs to VideoAlign"):
        run(plain, tmp_path / "r.csv", scale="raw")


def test_dover_scale_is_recorded_and_needs_no_motion(tmp_path):
    path = tmp_path / "zero_shot_res_sensehdr.txt"
    path.write_text("a.mp4,51.2, 62.1,57.0\nb.mp4,1.0, 22.0,3.0\n")
    summary, rows, _ = run(path, tmp_path / "o.csv")
    assert summary["scale"] == "0 to 100"
    assert [row["class"] for row in rows] == ["", ""]
    assert (rows[0]["mq"], rows[0]["vq"], summary["unclassified"]) == ("", "0.75", 2)


def test_captions_beside_the_videos_complete_a_manifest(tmp_path):
    (tmp_path / "s.csv").write_text("video,mq,vq\na.mp4,1,2\nb.mp4,2,1\n")
    run(tmp_path / "s.csv", tmp_path / "o.csv")
    with pytest.raises(InputError, match="'caption' is missing"):
        read_manifest(tmp_path / "o.csv")
    (tmp_path / "a.txt").write_text("A cat")
    with pytest.raises(InputError, match=r"b\.txt: caption: no such file"):
        read_manifest(tmp_path / "o.csv")
    (tmp_path / "b.txt").write_text("A dog")
    assert [row.caption for row in read_manifest(tmp_path / "o.csv")] == [
        "A cat",
        "A dog",
    ]


def test_bad_rows_are_left_out_and_told(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("video,mq,vq\na.mp4,1,1\nb.mp4,nan,2\nc.mp4,3,3\n")
    with pytest.raises(InputError, match="line 3: mq: 'nan'"):
        run(path, tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()
    _, rows, bad = run(path, tmp_path / "o.csv", max_bad=1)
    assert [row["video"] for row in rows] == ["a.mp4", "c.mp4"]
    assert len(bad) == 1
    assert "line 3" in bad[0]


def test_a_table_without_any_score(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("video,mq,vq\na.mp4,,\nb.mp4,,\n")
    with pytest.raises(InputError, match="no clip has a score"):
        run(path, tmp_path / "o.csv")
    path.write_text(
        "videoID,matching_score,desirable_filtering\nv,[0.5],['desirable']\n"
    )
    summary, rows, _ = run(path, tmp_path / "o.csv")
    assert (summary["unclassified"], rows[0]["class"]) == (1, "")
    assert json.loads(rows[0]["components"])["desirable_filtering"] == "desirable"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bands.json", '{"format": "tqd-band-schedule"}', "is a band schedule"),
        ("s.journal.jsonl", '{"format": "tqd-score-journal"}', "give s.csv"),
        ("a.safetensors", "\0\0\0\x18ftypmp42", "is a video"),
        ("empty.csv", "", "is an empty file"),
    ],
)
def test_what_holds_no_scores_is_called_what_it_is(
    tmp_path, monkeypatch, name, text, said
):
    monkeypatch.chdir(tmp_path)
    Path("s.csv").write_text("video,mq,vq\na.mp4,1,1\n")
    Path(name).write_text(text)
    with pytest.raises(InputError) as error:
        run(Path(name), Path("out.csv"))
    assert str(error.value).startswith(f"{name}: is ")
    assert said in str(error.value)
    assert not Path("out.csv").exists()


def test_the_folder_of_the_videos_may_come_later_but_is_no_file(tmp_path, capsys):
    """Videos of a published table are often fetched after it was read."""
    table = tmp_path / "s.csv"
    table.write_text("video,mq,vq\na.mp4,1,1\n")
    with pytest.raises(InputError, match=f"--videos {table}: no folder"):
        run(table, tmp_path / "o.csv", videos=table)
    run(table, tmp_path / "o.csv", videos=tmp_path / "none")
    assert (
        f"--videos {tmp_path / 'none'}: no such folder yet" in capsys.readouterr().err
    )
