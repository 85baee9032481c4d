"""The command line of verify."""

import json
import signal

import pytest
from crashing_decoder import crash_on
from spoilt_clips import write_schedule, write_spoilt_clips

from tqd_probe.verify import main


@pytest.fixture(scope="module")
def spoilt(built_once):
    return built_once.get("spoilt", write_spoilt_clips) / "clips.csv"


def arguments(spoilt, out, samplers, **more):
    values = {
        "ckpt": "tiny",
        "clips": spoilt,
        "golden": "synthetic:6",
        "out": out,
        "samplers": samplers,
        "steps": 14,
        "seeds": 3,
        "warmup": 2,
        "lr": 3e-3,
        "batch-size": 4,
        "micro-batch": 4,
        "device": "cpu",
    } | more
    return [x for key, value in values.items() for x in (f"--{key}", str(value))]


@pytest.mark.rendered
def test_samplers_that_draw_the_same_do_not_differ_and_a_killed_run_resumes(
    spoilt, schedule, tmp_path, capsys
):
    clean = write_schedule(schedule, tmp_path / "clean.json", [])
    out = tmp_path / "run"
    more = {"golden": "synthetic:2", "seeds": 2, "steps": 3}
    argv = arguments(spoilt, out, f"bands={clean},bands={clean}", **more)
    assert main(argv) == 0
    printed = capsys.readouterr().out
    same = json.loads((out / "verify.json").read_text())["verdicts"]
    same = same["bands=clean.json#2"]
    assert same["verdict"] == "no difference shown"
    assert same["difference"] == {"mean": 0, "low": 0, "high": 0}  # the same to the bit
    assert (out / "verify.md").read_text().strip() in printed
    assert (out / "verify.png").stat().st_size > 10_000
    trials = sorted((out / "trials").iterdir())
    assert len(trials) == 4
    stamps = [path.stat().st_mtime_ns for path in trials]
    trials[1].unlink()  # a killed verification resumes and ends alike
    before = (out / "verify.json").read_bytes()
    assert main(argv) == 0
    assert (out / "verify.json").read_bytes() == before
    again = [path.stat().st_mtime_ns for path in trials]
    assert [a == b for a, b in zip(stamps, again, strict=True)] == [
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"samplers": "uniform"}, "two or more"),
        ({"samplers": "uniform,bands"}, "bands needs a schedule"),
        ({"golden": "nowhere"}, "nowhere: no such folder"),
        ({"golden": "synthetic:1"}, "fewer than 2 golden clips"),
        ({"clips": "synthetic:4", "samplers": "uniform,beta"}, "--samplers beta: 4 of"),
        ({"seeds": 1}, "--seeds 1"),
        ({"samplers": "uniform,bands=none.json"}, "none.json: no such file"),
        ({"base": "measured"}, "--base measured: changes none of --samplers"),
    ],
)
def test_faults_are_reported_in_one_line(spoilt, tmp_path, capsys, changed, shown):
    samplers = changed.pop("samplers", "uniform,uniform")
    assert main(arguments(spoilt, tmp_path / "run", samplers, **changed)) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "\n" not in line
    assert shown in line
    assert not (tmp_path / "run").exists()  # a refused run claims nothing


def test_clips_to_judge_by_must_not_be_trained_on(spoilt, tmp_path, capsys):
    argv = arguments(spoilt, tmp_path / "run", "uniform,uniform", golden=spoilt)
    assert main(argv) == 2
    message = capsys.readouterr().err
    assert "--golden" in message
    assert "--validation" not in message
    assert "is also trained on" in message


@pytest.mark.parametrize("option", ["clips", "golden"])
def test_a_clip_that_crashes_its_decoder_is_a_bad_one(
    spoilt, tmp_path, capsys, monkeypatch, option
):
    crash_on(monkeypatch, "c3.mp4", signal.SIGABRT)
    more = {"clips": "synthetic:6", "golden": "synthetic:2", "clips-seed": 5}
    more |= {option: spoilt, "cache": tmp_path / "cache"}
    out = tmp_path / "run"
    argv = arguments(spoilt, out, "uniform,logit_normal", **more)
    assert main(argv) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "c3.mp4: video: crashes its decoder (SIGABRT)" in line
    assert "\n" not in line
    assert "Traceback" not in printed
