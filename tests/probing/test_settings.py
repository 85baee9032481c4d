"""The command line's statistics options, end to end on a small real pipeline."""

import csv
import json

import numpy as np
import pytest
from probe_runs import fails
from safetensors.numpy import save_file

from tqd_probe import gradsim
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.schedules.band_schedule import BandSchedule

SMALL = "--num-clips 8 --draws 1 --levels 0.3,0.8 --degradations blur:4,freeze:5"


def run(ckpt, out, extra="", base=SMALL):
    argv = ["--ckpt", str(ckpt), "--out", str(out), *base.split(), *extra.split()]
    assert gradsim.main(argv) == 0
    return json.loads((out / "gradsim.json").read_text())


@pytest.fixture(scope="module")
def plain(pipeline, tmp_path_factory):
    out = tmp_path_factory.mktemp("plain") / "run"
    return run(pipeline, out), out


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Real mp4 files: 8 golden, 8 visually and 3 motion degraded, by their scores."""
    folder = tmp_path_factory.mktemp("scored")
    rows = []
    for index in range(19):
        clip = synthetic_clip(index, 9)
        write_video(folder / f"c{index}.mp4", clip.read(ClipShape(6, 32, 32, 16)), 16)
        mq, vq = (0.9, 0.8) if index < 8 else (0.9, 0.1) if index < 16 else (0.2, 0.9)
        rows.append([f"c{index}.mp4", clip.caption, mq, vq])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([["video", "caption", "mq", "vq"], *rows])
    return folder / "clips.csv"


@pytest.mark.rendered("mixture_weights", "mixture_risk")
@pytest.mark.parametrize("form", ["per-level", "joint"])
def test_mixture_end_to_end(pipeline, plain, tmp_path, form, capsys):
    pool = "golden=10,visual_degraded=800,motion_degraded=300"
    extra = f"--criterion mixture --mixture-form {form} --pool {pool} --floor 0.05"
    out = tmp_path / "m"
    run(pipeline, out, extra)
    schedule = BandSchedule.load(out / "bands.json")
    mixture = schedule.mixture
    assert mixture.classes == ["golden", "visual_degraded", "motion_degraded"]
    assert mixture.pool["visual_degraded"] == 800
    assert np.sum(mixture.weights, axis=1) == pytest.approx([1, 1])
    assert mixture.form == form
    assert (out / "figures" / "mixture_weights.png").stat().st_size > 10_000
    assert (out / "figures" / "mixture_risk.png").stat().st_size > 10_000
    assert "experimental" in capsys.readouterr().out


def test_mixture_options_need_the_criterion(pipeline, tmp_path, capsys):
    base = ["--ckpt", str(pipeline), "--out", str(tmp_path / "x")]
    fails(capsys, [*base, "--floor", "0.1"], "--floor needs --criterion mixture")
    mixture = [*base, "--criterion", "mixture"]
    fails(capsys, [*mixture, "--pool", "golden=0"], "--pool", "golden has no clips")
    fails(capsys, [*mixture, "--pool", "gold=3"], "--pool", "'gold' is no class")
    fails(capsys, [*mixture, "--pool", "golden=x"], "--pool", "no whole number")
    few = [*mixture, *SMALL.split(), "--pool", "golden=3,visual_degraded=5"]
    fails(capsys, few, "--pool: motion_degraded is missing")
    assert not (tmp_path / "x" / "log.txt").exists()  # refused before the work
    fails(capsys, [*base, "--mq-min", "0.5"], "--mq-min and --vq-min go together")
    fails(capsys, [*base, "--adam-state", "x"], "--adam-state needs --metric adam")
    fails(capsys, [*base, "--match-severity", "blur"], "--match-severity", "severity")


def test_family_wise_intervals_are_wider(pipeline, plain, tmp_path):
    result = run(pipeline, tmp_path / "f", "--family-wise")
    wide = result["subjects"]["blur:4"]["bias2_ci"]
    narrow = plain[0]["subjects"]["blur:4"]["bias2_ci"]
    for (a, b), (c, d) in zip(wide, narrow):
        assert a < c < d < b
    assert result["criterion"]["family_wise"]
    assert (
        result["subjects"]["blur:4"]["cosine"]
        == plain[0]["subjects"]["blur:4"]["cosine"]
    )


def test_adam_state_of_equal_moments_changes_no_cosine(pipeline, plain, tmp_path):
    from tqd_probe.models.load import load_model

    network = load_model(str(pipeline)).network
    state = {
        f"{name}.exp_avg_sq": np.full(tuple(p.shape), 4.0, np.float32)
        for name, p in network.named_parameters()
    }
    save_file(state, tmp_path / "adam.safetensors")
    extra = f"--metric adam --adam-state {tmp_path / 'adam.safetensors'}"
    result = run(pipeline, tmp_path / "a", extra)
    assert result["criterion"]["metric"] == "adam"
    for key in ("cosine", "norm_ratio"):
        found = result["subjects"]["freeze:5"][key]
        expected = plain[0]["subjects"]["freeze:5"][key]
        assert found == pytest.approx(expected, rel=1e-4)
    signal, raw = (r["golden"]["signal"] for r in (result, plain[0]))
    assert np.array(signal) == pytest.approx(np.array(raw) / 2, rel=1e-4)


def test_estimated_second_moments_resume(pipeline, tmp_path):
    first = run(pipeline, tmp_path / "a", "--metric adam")
    kept = tmp_path / "a" / "gradients" / "second_moments.safetensors"
    stamp = kept.read_bytes()
    again = run(pipeline, tmp_path / "a", "--metric adam")
    assert again == first
    assert kept.read_bytes() == stamp


def test_a_wrong_adam_state_is_refused(pipeline, tmp_path, capsys):
    path = tmp_path / "adam.safetensors"
    argv = ["--ckpt", str(pipeline), "--out", str(tmp_path / "x"), *SMALL.split()]
    argv += ["--metric", "adam", "--adam-state", str(path)]
    fails(capsys, argv, str(path), "cannot be read as safetensors")
    save_file({"other": np.ones(3, np.float32)}, path)
    fails(capsys, argv, str(path), "no second moments")


def test_real_imbalanced_clips_are_probed_unpaired(pipeline, scored, tmp_path, caplog):
    base = "--draws 2 --levels 0.3,0.8 --degradations none --mq-min 0.5 --vq-min 0.5"
    out = tmp_path / "u"
    result = run(pipeline, out, f"--clips {scored}", base)
    assert "class motion_degraded is not probed: 3 clips" in caplog.text
    schedule = BandSchedule.load(out / "bands.json")
    entry = schedule.classes["visual_degraded"]
    assert (entry.clips, entry.paired, entry.degradations) == (8, False, {})
    assert schedule.golden.clips == 8
    # Clips without a degradation are as golden as the others.
    level = int(np.argmax(result["golden"]["snr"]))
    low, high = entry.cosine_ci[level]
    assert low <= 1 <= high
    rows = list(csv.DictReader((out / "clips.csv").read_text().splitlines()))
    assert len(rows) == 16 * 2
    golden = [r for r in rows if r["class"] == "golden" and r["sigma"] == "0.3"]
    # the mean clip is as useful as the mean clip
    values = [float(row["usefulness"]) for row in golden]
    assert np.mean(values) == pytest.approx(1.0, abs=1e-4)


def test_both_copies_and_real_clips_enter_the_mixture(pipeline, scored, tmp_path):
    base = "--draws 1 --levels 0.3,0.8 --degradations blur:4,freeze:5"
    extra = f"--clips {scored} --mq-min 0.5 --vq-min 0.5 --criterion mixture"
    run(pipeline, tmp_path / "b", extra, base)
    schedule = BandSchedule.load(tmp_path / "b" / "bands.json")
    assert schedule.mixture.classes == ["golden", "motion_degraded", "visual_degraded"]
    assert not schedule.classes["visual_degraded"].paired
    assert schedule.classes["motion_degraded"].paired
    assert set(schedule.degradations_detail) == {"blur:4", "freeze:5"}


def test_a_missing_score_is_named(pipeline, scored, tmp_path, capsys):
    path = scored.parent / "bad.csv"
    path.write_text(scored.read_text().replace(",0.9,0.8\n", ",0.9,\n", 1))
    argv = ["--ckpt", str(pipeline), "--out", str(tmp_path / "x"), "--clips", str(path)]
    fails(
        capsys, [*argv, "--mq-min", "0.5", "--vq-min", "0.5"], "vq: missing", "c0.mp4"
    )


def test_severities_are_matched_by_latent_distance(pipeline, tmp_path):
    extra = "--match-severity blur:2"
    base = SMALL.replace("freeze:5", "freeze:5,reverse:1")
    result = run(pipeline, tmp_path / "s", extra, base)
    distances = result["severities"]
    assert list(distances) == ["blur", "freeze", "reverse"]
    assert (np.diff(distances["blur"]) > 0).all()
    goal = distances["blur"][1]
    gaps = np.abs(np.log(np.array(distances["freeze"]) / goal))
    names = [n for n in result["subjects"] if ":" in n]
    assert names == ["blur:2", f"freeze:{gaps.argmin() + 1}", "reverse:1"]
