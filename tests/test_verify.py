import csv
import json

import numpy as np
import pytest

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.rng import stream
from tqd_probe.models.load import load_model
from tqd_probe.verify import main


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """Golden clips, and as many of noise that call themselves visually degraded."""
    folder = tmp_path_factory.mktemp("spoilt")
    rows = [["video", "caption", "mq", "vq", "class"]]
    for index in range(8):
        clip = synthetic_clip(index, 21)
        video = clip.read(ClipShape(17, 64, 64, 16))
        name = "golden" if index % 2 else "visual_degraded"
        if name != "golden":
            noise = stream(0, "spoilt", index).integers(0, 256, video.shape)
            video = noise.astype(np.uint8)
        write_video(folder / f"c{index}.mp4", video, 16)
        rows.append([f"c{index}.mp4", clip.caption, 0.5, 0.5, name])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return folder / "clips.csv"


def spoiling(schedule, path, bands):
    """A schedule that trains the noise clips in given bands."""
    made = schedule.model_copy(deep=True)
    made.model.fingerprint = load_model("tiny").fingerprint
    made.classes["visual_degraded"].bands = bands
    made.mixture = None
    made.save(path)
    return path


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
        **more,
    }
    return [x for key, value in values.items() for x in (f"--{key}", str(value))]


def test_a_sampler_that_must_lose_loses(spoilt, schedule, tmp_path, capsys):
    """Noise clips below sigma 0.5, for one of two samplers."""
    clean = spoiling(schedule, tmp_path / "clean.json", [])
    noisy = spoiling(schedule, tmp_path / "noisy.json", [(0.0, 0.5)])
    out = tmp_path / "run"
    more = {"golden": "synthetic:12", "seeds": 5, "lr": 1e-2}
    argv = arguments(spoilt, out, f"bands={clean},bands={noisy}", **more)
    argv.append("--no-early-stop")
    assert main(argv) == 0
    printed = capsys.readouterr().out
    result = json.loads((out / "verify.json").read_text())
    (look,) = result["looks"]
    assert look["level"] == pytest.approx(0.05)  # one look, one comparison
    loses = result["verdicts"]["bands=noisy.json"]
    assert loses["verdict"] == "hurts"
    assert loses["difference"]["mean"] > 0
    losses = [result["samplers"][k]["loss_per_seed"] for k in result["samplers"]]
    assert np.all(np.array(losses[1]) > losses[0])
    assert "**bands=noisy.json** hurts: raises the golden loss" in printed


@pytest.mark.rendered
def test_samplers_that_draw_the_same_do_not_differ_and_a_killed_run_goes_on(
    spoilt, schedule, tmp_path, capsys
):
    clean = spoiling(schedule, tmp_path / "clean.json", [])
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
    trials[1].unlink()  # a killed verification goes on and ends alike
    before = (out / "verify.json").read_bytes()
    assert main(argv) == 0
    assert (out / "verify.json").read_bytes() == before
    again = [path.stat().st_mtime_ns for path in trials]
    assert [a == b for a, b in zip(stamps, again)] == [True, False, True, True]


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"samplers": "uniform"}, "two or more"),
        ({"samplers": "uniform,bands"}, "bands needs a schedule"),
        ({"golden": "nowhere"}, "nowhere: no such folder"),
        ({"golden": "synthetic:1"}, "fewer than 2 golden clips"),
        ({"seeds": 1}, "--seeds 1"),
        ({"samplers": "uniform,bands=none.json"}, "none.json: no such file"),
    ],
)
def test_faults_are_said(spoilt, tmp_path, capsys, changed, shown):
    samplers = changed.pop("samplers", "uniform,uniform")
    assert main(arguments(spoilt, tmp_path / "run", samplers, **changed)) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "\n" not in line
    assert shown in line


def test_clips_to_judge_by_must_not_be_trained_on(spoilt, tmp_path, capsys):
    argv = arguments(spoilt, tmp_path / "run", "uniform,uniform", golden=spoilt)
    assert main(argv) == 2
    assert "--golden" in (said := capsys.readouterr().err)
    assert "is also trained on" in said
