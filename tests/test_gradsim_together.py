"""Options of one run that must work together: sketches, real clips, metric, mixture."""

import csv
import json

import numpy as np
import pytest
from child_processes import in_two_processes
from probe_runs import numbers
from safetensors.numpy import save_file

from tqd_probe import gradsim
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.command_line import parse
from tqd_probe.models.load import load_model
from tqd_probe.probing.run import run_probe
from tqd_probe.schedules.band_schedule import BandSchedule

OPTIONS = (
    "--levels 0.3,0.8 --draws 2 --degradations blur:4,freeze:5 --mq-min 0.5"
    " --vq-min 0.5 --metric adam --criterion mixture --mixture-form joint --adaptive"
    " --family-wise"
)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Real mp4 files: 9 golden and 8 visually degraded ones, by their scores."""
    folder = tmp_path_factory.mktemp("scored")
    rows = []
    for index in range(17):
        clip = synthetic_clip(index, 9)
        write_video(folder / f"c{index}.mp4", clip.read(ClipShape(6, 32, 32, 16)), 16)
        vq = 0.8 if index < 9 else 0.1
        rows.append([f"c{index}.mp4", clip.caption, 0.9, vq])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([["video", "caption", "mq", "vq"], *rows])
    return folder / "clips.csv"


def arguments(ckpt, clips, out, extra="--sketch 8192"):
    argv = ["--ckpt", str(ckpt), "--clips", str(clips), "--out", str(out)]
    argv += ["--adam-state", str(adam_state(ckpt, clips.parent))]
    return [*argv, *OPTIONS.split(), *extra.split()]


def adam_state(ckpt, folder):
    """Second moments equal within a parameter: full and factored ones are the same."""
    path = folder / "adam.safetensors"
    if not path.exists():
        shapes = load_model(str(ckpt)).network.state_dict()
        state = {
            name: np.full(tuple(value.shape), 0.1 * (1 + k % 7), np.float32)
            for k, (name, value) in enumerate(shapes.items())
        }
        save_file(state, path)
    return path


def probe(argv):
    """Without the command's figures; those of such a run are drawn in two processes."""
    options = parse(gradsim.GradsimOptions, argv, "gradsim")
    run_probe(options, progress=False)


def result(out):
    return json.loads((out / "gradsim.json").read_text())


@pytest.fixture(scope="module")
def sketched(pipeline, scored, tmp_path_factory):
    out = tmp_path_factory.mktemp("together") / "run"
    probe(arguments(pipeline, scored, out))
    return out


def test_a_sketched_run_of_everything_agrees_with_the_exact_one(
    sketched, pipeline, scored, tmp_path
):
    out = tmp_path / "exact"
    probe(arguments(pipeline, scored, out, "--sketch exact"))
    a, b = result(out), result(sketched)
    assert b["cost"]["unpaired_clips"] == 8
    assert set(a["subjects"]) == {
        "visual_degraded",
        "motion_degraded",
        "blur:4",
        "freeze:5",
    }
    assert not b["subjects"]["visual_degraded"]["paired"]
    compared = 0
    for name, one in a["subjects"].items():
        other = b["subjects"][name]
        assert max(one["sketch_error"]) == 0
        for x, y, error in zip(one["cosine"], other["cosine"], other["sketch_error"]):
            assert abs(x - y) < max(6 * error, 1e-6)
            assert error > 0
            compared += 1
    assert compared == 4 * 2
    assert a["golden"]["signal"] == pytest.approx(b["golden"]["signal"], rel=0.05)
    for run in (out, sketched):
        mixture = BandSchedule.load(run / "bands.json").mixture
        assert mixture.form == "joint"
        assert mixture.classes == ["golden", "motion_degraded", "visual_degraded"]
        assert np.sum(mixture.weights, axis=1) == pytest.approx([1, 1])
    assert len(a["cross_level"]) == 3
    for one, other in zip(a["cross_level"].values(), b["cross_level"].values()):
        np.testing.assert_allclose(one, other, atol=0.02)  # both by sketches
    rows = list(csv.DictReader((sketched / "clips.csv").read_text().splitlines()))
    assert {row["version"] for row in rows} >= {"clip itself", "golden", "blur:4"}


def test_it_resumes_with_the_same_bytes(sketched, pipeline, scored):
    names = ("gradsim.json", "bands.json", "clips.csv")
    before = [(sketched / name).read_bytes() for name in names]
    for path in (sketched / "gradients").glob("*-01.safetensors"):
        path.unlink()
    probe(arguments(pipeline, scored, sketched))
    assert [(sketched / name).read_bytes() for name in names] == before


@pytest.mark.two_processes
def test_two_processes_equal_one(sketched, pipeline, scored, tmp_path):
    out = tmp_path / "two"
    argv = arguments(pipeline, scored, out)
    assert in_two_processes(lambda: gradsim.main(argv)) == [0, 0]
    a, b = numbers(result(sketched)), numbers(result(out))
    assert len(a) == len(b) > 100
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
