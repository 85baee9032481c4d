import json

import pytest
from converted_scores import run

from tqd_probe.clips.manifest import read_manifest
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.published.convert import convert
from tqd_probe.scoring.score_table import ClassificationRule
from tqd_probe.scoring.thresholds import parse_threshold


def test_the_result_is_a_manifest(tmp_path):
    path = tmp_path / "openvid.csv"
    path.write_text(
        "video,caption,aesthetic score,motion score,temporal consistency score\n"
        'a.mp4,"A cat,\nasleep",5,1,0.9\nb.mp4,dog,4,2,0.9\n'
    )
    out = tmp_path / "deep" / "scores.csv"
    run(path, out, videos=tmp_path / "videos")
    one, two = read_manifest(out)
    assert one.video == tmp_path / "videos" / "a.mp4"
    assert (one.caption, one.mq, one.vq) == ("A cat,\nasleep", 0.25, 0.75)
    assert (one.class_, two.class_) == ("motion_degraded", "visual_degraded")


def test_jsonl_output(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("video,mq,vq,ta\na.mp4,1,1,0.5\nb.mp4,,2,\n")
    how = ClassificationRule("quantile", parse_threshold("0.5"), parse_threshold("0.5"))
    convert(path, tmp_path / "o.jsonl", how, {})
    one, two = (json.loads(x) for x in (tmp_path / "o.jsonl").read_text().splitlines())
    assert one["components"] == {"ta": 0.5}
    assert (two["mq"], two["class"]) == (None, "")


def test_faults_of_the_output(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("video,mq,vq\na.mp4,1,1\n")
    with pytest.raises(InputError, match="is the file that is read"):
        run(path, path)
    with pytest.raises(InputError, match="suffix"):
        run(path, tmp_path / "o.xlsx")
    with pytest.raises(InputError, match="no such file"):
        run(tmp_path / "absent.csv", tmp_path / "o.csv")
