import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tqd_probe import gradsim, plot
from tqd_probe.clips.source import open_clips
from tqd_probe.core.rng import normal
from tqd_probe.models.base import per_clip_loss
from tqd_probe.models.load import load_model
from tqd_probe.probing.measure import derive_schedule
from tqd_probe.schedules.band_schedule import BandSchedule

SMALL = "--num-clips 5 --levels 0.1,0.5,0.9 --degradations blur:4,freeze:5,identity:1"


def arguments(ckpt, out, extra=""):
    return ["--ckpt", str(ckpt), "--out", str(out), *SMALL.split(), *extra.split()]


def results(out):
    return [(out / name).read_bytes() for name in ("bands.json", "gradsim.json")]


@pytest.fixture(scope="module")
def finished(pipeline, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    assert gradsim.main(arguments(pipeline, out)) == 0
    return out


def copy_of(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "run"))


def fails(capsys, argv, *parts, main=gradsim.main):
    """The command ends with exit code 2 and one line that holds all parts."""
    capsys.readouterr()
    assert main(argv) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "\n" not in line, line
    assert "Traceback" not in printed
    for part in parts:
        assert part in line, line


def test_everything_a_run_writes(finished):
    names = {
        str(p.relative_to(finished)) for p in finished.rglob("[!.]*") if p.is_file()
    }
    assert names == {
        *("run.json", "gradsim.json", "bands.json", "clips.csv", "cost.json"),
        *("log.txt", "gradients/store.json", "gradients/coverage.json"),
        "gradients/work.json",
        "gradients/energy.json",
        *(
            f"gradients/{k}-0{i}.safetensors"
            for k in ("gram", "sketch")
            for i in range(3)
        ),
        *(f"figures/{name}.png" for name in FIGURES),
    }
    schedule = BandSchedule.load(finished / "bands.json")
    assert set(schedule.classes) == {"visual_degraded", "motion_degraded"}
    assert set(schedule.degradations_detail) == {"blur:4", "freeze:5", "identity:1"}
    assert schedule.noise.levels == [0.1, 0.5, 0.9]
    result = json.loads((finished / "gradsim.json").read_text())
    assert result["covered_share"] == pytest.approx(1, abs=1e-6)
    assert schedule == derive_schedule(result)
    identity = schedule.degradations_detail["identity:1"]
    known = [c for c in identity.cosine if c is not None]
    assert known
    assert known == pytest.approx([1.0] * len(known), abs=1e-9)
    assert "--out" not in " ".join(schedule.provenance.argv)


FIGURES = (
    "similarity_heatmap",
    "norm_ratio_heatmap",
    "module_heatmap",
    "similarity_curves",
    "cross_level_map",
)


def test_curves_equal_plain_autograd(finished, pipeline):
    """The whole chain against loops of ordinary backward passes."""
    from tqd_probe.clips.degradations import Degradation
    from tqd_probe.models.base import collate

    model = load_model(str(pipeline))
    result = json.loads((finished / "gradsim.json").read_text())
    blur, means = Degradation("blur", 4), {"golden": [], "blur": []}
    for clip in open_clips("synthetic", 5, 0).golden:
        for name, video in {
            "golden": clip.read(model.native),
            "blur": blur.apply(clip, model.native, 0),
        }.items():
            batch = collate([model.encode(video, clip.caption)])
            total = 0
            for draw in range(2):
                eps = normal(batch.latents.shape[1:], 0, "noise", clip.id, draw)[None]
                loss = per_clip_loss(model, batch, eps, torch.tensor([0.5])).sum()
                found = torch.autograd.grad(loss, list(model.network.parameters()))
                total = total + torch.cat([g.flatten() for g in found]).double() / 2
            means[name].append(total.numpy())
    golden, blurred = (np.array(means[name]) for name in ("golden", "blur"))

    def u(a, b):
        products = a @ b.T
        return (products.sum() - np.trace(products)) / 20

    expected = u(golden, golden)
    assert result["golden"]["signal"][1] == pytest.approx(expected, rel=1e-4)
    cosine = u(golden, blurred) / np.sqrt(expected * u(blurred, blurred))
    assert result["subjects"]["blur:4"]["cosine"][1] == pytest.approx(cosine, rel=1e-4)


def test_batch_size_changes_no_number_that_matters(finished, pipeline, tmp_path):
    argv = arguments(pipeline, tmp_path / "b", "--batch-size 1")
    assert gradsim.main(argv) == 0
    one, four = (
        json.loads((out / "gradsim.json").read_text())
        for out in (tmp_path / "b", finished)
    )
    for name in one["subjects"]:
        a, b = (r["subjects"][name]["cosine_naive"] for r in (one, four))
        assert a == pytest.approx(b, rel=1e-4)


def test_the_same_command_again_changes_nothing(finished, pipeline, tmp_path):
    out = copy_of(finished, tmp_path)
    before = results(out)
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert results(out) == before


def test_changed_configuration_is_refused_unless_overwritten(
    finished, pipeline, tmp_path, capsys
):
    out = copy_of(finished, tmp_path)
    before = results(out)
    changed = arguments(pipeline, out, "--draws 1")
    fails(capsys, changed, "--draws was 2, now 1", "--overwrite")
    fails(capsys, arguments(pipeline, out, "--cos-min 0.5"), "--cos-min was 0.9")
    assert results(out) == before
    stamp = (out / "gradients" / "gram-00.safetensors").stat().st_mtime_ns
    lower = arguments(pipeline, out, "--cos-min 0.5 --overwrite")
    assert gradsim.main(lower) == 0  # gradients that still fit are kept
    assert (out / "gradients" / "gram-00.safetensors").stat().st_mtime_ns == stamp
    assert gradsim.main([*changed, "--overwrite"]) == 0
    assert json.loads((out / "bands.json").read_text())["golden"]["draws"] == 1


def test_a_killed_run_ends_with_the_same_bytes(finished, pipeline, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "tqd_probe.gradsim", *arguments(pipeline, out)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    for shards in (2, 7):  # inside the first level, then inside the second
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wanted = f"level-0{shards // 5}/*draw*"
        while process.poll() is None:
            if len(list(out.glob(f"gradients/{wanted}"))) >= 2:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.002)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "bands.json").exists()
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert results(out) == results(finished)


def test_sigterm_ends_cleanly_and_resumes(finished, pipeline, tmp_path):
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "tqd_probe.gradsim", *arguments(pipeline, out)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while process.poll() is None and not list(out.glob("gradients/level-00/*draw*")):
        time.sleep(0.002)
    process.terminate()
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"the same command goes on" in printed
    assert b"Traceback" not in printed
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert results(out) == results(finished)


def test_a_damaged_gram_says_how_to_go_on(finished, pipeline, tmp_path, capsys):
    out = copy_of(finished, tmp_path)
    before = results(out)
    path = out / "gradients" / "gram-01.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    fails(capsys, arguments(pipeline, out), "gram-01.safetensors", "delete this file")
    path.unlink()
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert results(out) == before


def test_self_check_passes_and_its_failure_writes_no_schedule(
    pipeline, tmp_path, capsys, monkeypatch
):
    argv = arguments(pipeline, tmp_path / "s", "--self-check")
    assert gradsim.main(argv) == 0
    assert "self-check passed" in capsys.readouterr().err
    from tqd_probe.gradients import layers

    def wrong(layer, x, g, clips):
        left, right = layers.linear_factors(layer, x, g, clips)
        return left * 1.01, right

    monkeypatch.setitem(layers.FACTORS, torch.nn.Linear, wrong)
    argv = arguments(pipeline, tmp_path / "t", "--self-check")
    fails(capsys, argv, "--self-check: engine and torch.func disagree")
    assert not (tmp_path / "t" / "bands.json").exists()


def test_uncovered_gradients_are_refused(pipeline, tmp_path, capsys, monkeypatch):
    from tqd_probe.gradients.capture import GradientCapture

    whole = GradientCapture.__init__

    def lose(self, *rest):
        whole(self, *rest)
        self._layers = self._layers[:-8]

    monkeypatch.setattr(GradientCapture, "__init__", lose)
    fails(capsys, arguments(pipeline, tmp_path / "u"), "of the squared gradient norm")


def test_real_videos_end_to_end(pipeline, folder_of_clips, tmp_path, capsys):
    out = tmp_path / "real"
    argv = ["--ckpt", str(pipeline), "--out", str(out), "--levels", "2", "--clips"]
    more = ["--degradations", "compress:4,slow:3,jitter:2", "--draws", "1"]
    assert gradsim.main([*argv, str(folder_of_clips), *more]) == 0
    result = json.loads((out / "gradsim.json").read_text())
    assert result["clips"]["ids"] == [f"c{i}" for i in range(6)]
    assert "bands of sigma, edges" in capsys.readouterr().out


def test_bad_clips_stop_the_run_or_go_to_quarantine(
    pipeline, folder_of_clips, tmp_path, capsys
):
    folder = Path(shutil.copytree(folder_of_clips, tmp_path / "videos"))
    bad = folder / "c2.mp4"
    bad.write_bytes(bad.read_bytes()[:300])
    argv = ["--ckpt", str(pipeline), "--levels", "2", "--clips", str(folder)]
    argv += ["--degradations", "blur:3", "--draws", "1", "--out"]
    fails(capsys, [*argv, str(tmp_path / "a")], "c2.mp4")
    assert not (tmp_path / "a").exists()
    assert gradsim.main([*argv, str(tmp_path / "b"), "--max-bad", "1"]) == 0
    result = json.loads((tmp_path / "b" / "gradsim.json").read_text())
    assert list(result["clips"]["quarantine"]) == ["c2"]
    assert len(result["clips"]["ids"]) == 5
    assert bad.exists()


def test_non_finite_gradient_names_clip_level_and_module(copied, tmp_path, capsys):
    file = next((copied / "transformer").glob("*.safetensors"))
    tensors = load_file(file)
    tensors["blocks.1.ffn.net.2.weight"][0, 0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    parts = ("synthetic-0-00000", "golden", "sigma 0.1", "module", "not finite")
    fails(capsys, arguments(copied, tmp_path / "n"), *parts)
    assert not (tmp_path / "n" / "bands.json").exists()


@pytest.mark.parametrize(
    ("extra", "parts"),
    [
        ("--degradations fog:3", ("--degradations", "'fog'", "blur")),
        ("--degradations blur:6", ("--degradations", "blur:6", "1..5")),
        ("--degradations blur", ("--degradations", "severity is missing")),
        ("--levels 0.5,0.1", ("--levels", "does not rise")),
        ("--levels 0,0.5", ("--levels", "outside (0, 1)")),
        ("--levels 0.5,1", ("--levels", "outside (0, 1)")),
        ("--levels 0.5,nan", ("--levels", "outside (0, 1)")),
        ("--levels a,b", ("--levels", "not a list of numbers")),
        ("--levels 0", ("--levels", "0 levels")),
        ("--num-clips 3", ("--num-clips 3", "greater than or equal to 4")),
        ("--draws 0", ("--draws 0", "greater than or equal to 1")),
        ("--draws two", ("--draws two", "valid integer")),
        ("--shift nan", ("--shift", "")),
        ("--norm-range 2,1", ("--norm-range", "low < high")),
        ("--confidence 1", ("--confidence", "less than or equal to 0.9999")),
        ("--sketch 64", ("--sketch 64", "module groups", "exact")),
        ("--sketch half", ("--sketch", "exact", "49152")),
        ("--params (", ("--params (", "not a regular expression")),
        ("--params zzz", ("--params zzz", "matches no parameter")),
        ("--frames 6", ("--frames 6", "multiple of 4 plus 1")),
        ("--frames 1", ("--frames 1", "no motion", "--degradations")),
        ("--height 40", ("--height 40", "multiples of 16")),
        ("--device warp", ("--device warp", "not available")),
        ("--ckpt none", ("--ckpt none", "no such directory")),
        ("--clips none", ("none", "no such folder or file")),
        ("--clips synthetic:3 --num-clips 4", ("synthetic:3",)),
        ("--unknown 3", ("unrecognized arguments: --unknown 3",)),
    ],
)
def test_bad_options(pipeline, tmp_path, capsys, extra, parts):
    out = tmp_path / "bad"
    fails(capsys, arguments(pipeline, out, extra), *parts)
    assert not out.exists()


def test_fewer_than_four_clips(pipeline, folder_of_clips, tmp_path, capsys):
    folder = tmp_path / "few"
    folder.mkdir()
    for index in range(3):
        for suffix in ("mp4", "txt"):
            shutil.copy(folder_of_clips / f"c{index}.{suffix}", folder)
    argv = [
        "--ckpt",
        str(pipeline),
        "--clips",
        str(folder),
        "--out",
        str(tmp_path / "x"),
    ]
    fails(capsys, argv, "3 golden clips, at least 4")


def test_copies_of_one_clip_are_refused(pipeline, folder_of_clips, tmp_path, capsys):
    folder = tmp_path / "clips"
    shutil.copytree(folder_of_clips, folder)
    video = sorted(folder.glob("*.mp4"))[0]
    shutil.copy(video, folder / "zz.mp4")
    (folder / "zz.txt").write_text("another caption")
    argv = ["--ckpt", str(pipeline), "--clips", str(folder)]
    argv += ["--out", str(tmp_path / "x")]
    fails(capsys, argv, video.stem, "zz", "same video", "keep one")


def test_no_checkpoint_given(capsys):
    fails(capsys, [], "--ckpt", "required")


def test_out_that_cannot_be_used(pipeline, finished, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    fails(capsys, arguments(pipeline, file), f"--out {file}", "is a file")
    assert file.read_text() == "mine"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    fails(capsys, arguments(pipeline, folder), "not empty and not a run")
    fails(capsys, arguments(pipeline, file / "below"), str(file / "below"), "cannot be")


def test_overwrite_touches_only_runs(pipeline, tmp_path, capsys):
    folder = tmp_path / "thesis"
    (folder / "gradients").mkdir(parents=True)
    (folder / "gradients" / "chapter.tex").write_text("mine")
    argv = arguments(pipeline, folder, "--overwrite")
    fails(capsys, argv, "not empty and not a run")
    assert (folder / "gradients" / "chapter.tex").read_text() == "mine"
    fails(capsys, arguments(pipeline, "", "--overwrite"), "--out", "of its own")


def test_one_process_per_run_directory(finished, pipeline, tmp_path, capsys):
    from tqd_probe.core.run_directory import lock_directory

    out = copy_of(finished, tmp_path)
    lock = lock_directory(out)
    fails(capsys, arguments(pipeline, out), "another process is working in it")
    lock.close()
    assert gradsim.main(arguments(pipeline, out)) == 0


@pytest.mark.parametrize("text", ["[]", '{"settings": []}', "{"])
def test_a_damaged_run_json_is_named(finished, pipeline, tmp_path, capsys, text):
    out = copy_of(finished, tmp_path)
    (out / "run.json").write_text(text)
    fails(capsys, arguments(pipeline, out), "run.json")


def test_bf16_runs_and_agrees(finished, pipeline, tmp_path):
    out = tmp_path / "bf16"
    argv = arguments(pipeline, out, "--dtype bf16 --self-check")
    assert gradsim.main(argv) == 0
    half, full = (
        json.loads((o / "gradsim.json").read_text())["golden"]["signal"]
        for o in (out, finished)
    )
    assert half == pytest.approx(full, rel=0.05)


def test_a_damaged_cache_entry_is_named(pipeline, tmp_path, capsys):
    argv = arguments(pipeline, tmp_path / "a", f"--cache {tmp_path / 'cache'}")
    assert gradsim.main(argv) == 0
    path = sorted((tmp_path / "cache" / "latents").rglob("*.safetensors"))[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    argv = arguments(pipeline, tmp_path / "b", f"--cache {tmp_path / 'cache'}")
    fails(capsys, argv, str(path), "damaged cache entry; delete it")


def test_plan_predicts_clips_and_time(pipeline, tmp_path, capsys):
    argv = arguments(pipeline, tmp_path / "p", "--plan --plan-width 0.2")
    assert gradsim.main(argv) == 0
    printed = capsys.readouterr().out
    assert "clips for cosine intervals of width 0.2" in printed
    assert "min)" in printed
    assert "widths: where single runs with 2 draws" in printed
    assert not (tmp_path / "p").exists()


def test_help_states_every_option_and_its_default():
    done = subprocess.run(
        [sys.executable, "-m", "tqd_probe.gradsim", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in gradsim.GradsimOptions.model_fields:
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert "blur:3,noise:3" in done.stdout


def test_plot_draws_the_same_figures_again(finished, tmp_path, capsys):
    out = copy_of(finished, tmp_path)
    before = {p.name: p.read_bytes() for p in (out / "figures").iterdir()}
    shutil.rmtree(out / "figures")
    assert plot.main([str(out)]) == 0
    after = {p.name: p.read_bytes() for p in (out / "figures").iterdir()}
    assert set(after) == {f"{name}.png" for name in FIGURES}
    assert before == after
    assert len(capsys.readouterr().out.splitlines()) == len(FIGURES)


def test_plot_refuses_what_is_not_a_run(finished, tmp_path, capsys):
    fails(capsys, [str(tmp_path)], "gradsim.json", "no such file", main=plot.main)
    out = copy_of(finished, tmp_path)
    (out / "gradsim.json").write_text('{"format": "other"}')
    fails(capsys, [str(out)], "not a tqd-gradsim file", main=plot.main)
    shutil.copy(finished / "gradsim.json", out)
    value = json.loads((out / "bands.json").read_text())
    value["model"]["fingerprint"] = "sha256:other"
    (out / "bands.json").write_text(json.dumps(value))
    fails(capsys, [str(out)], "both must be of one run", main=plot.main)
    shutil.copy(finished / "bands.json", out)
    value = json.loads((out / "bands.json").read_text())
    value["classes"]["visual_degraded"]["bands"] = [[0.9, 0.1]]
    (out / "bands.json").write_text(json.dumps(value))
    fails(capsys, [str(out)], "classes.visual_degraded.bands", main=plot.main)
