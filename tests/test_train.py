import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tqd_probe import train as command
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.errors import InputError, TqdError
from tqd_probe.models.load import load_model
from tqd_probe.training.checkpoint import CheckpointStore
from tqd_probe.training.metadata import read_metadata
from tqd_probe.training.network import LossModule
from tqd_probe.training.run import train

STEPS, BATCH = 7, 4
SCORES = {
    "golden": (0.8, 0.8),
    "visual_degraded": (0.9, 0.3),
    "motion_degraded": (0.2, 0.7),
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Nine real videos of three classes with scores."""
    folder = tmp_path_factory.mktemp("pool")
    rows = [["video", "caption", "mq", "vq", "class"]]
    for index in range(9):
        name = list(SCORES)[index % 3]
        clip = synthetic_clip(index, 8)
        video = clip.read(ClipShape(5, 32, 32, 16))
        if name == "motion_degraded":
            video[:] = video[:1]
        write_video(folder / f"c{index}.mp4", video, 16)
        rows.append([f"c{index}.mp4", clip.caption, *SCORES[name], name])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return folder / "clips.csv"


def options(pipeline, manifest, out, **more):
    return {
        "ckpt": str(pipeline),
        "clips": str(manifest),
        "out": out,
        "full": True,
        "sampler": "beta",
        "kappa_max": 8,
        "steps": STEPS,
        "batch_size": BATCH,
        "micro_batch": 1,
        "lr": 1e-3,
        "warmup": 2,
        "ema_decay": 0.9,
        "save_every": 3,
        "hold_out": 1,
        "validate_every": 4,
        "log_every": 2,
        "record_draws": True,
        "report_to": "none",
        "device": "cpu",
        **more,
    }


@pytest.fixture(scope="module")
def straight(pipeline, manifest, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "run"
    command(**options(pipeline, manifest, out), quiet=True)  # a module one can call
    return out


def parts(out):
    """Everything that must be equal to the bit."""
    latest, skipped = CheckpointStore(out / "checkpoints", 3).latest()
    assert skipped == []
    names = ("parameters", "optimiser", "ema")
    tensors = {f"{n}.safetensors": latest.folder / f"{n}.safetensors" for n in names}
    files = {n: out / n for n in ("metrics.jsonl", "draws.jsonl", "validation.jsonl")}
    state = {"state.json": latest.folder / "state.json"}
    found = {**tensors, **files, **state}
    return {name: path.read_bytes() for name, path in found.items()}


def in_child(work):
    """Run a function in a child process; returns how it ended."""
    child = os.fork()
    if not child:
        code = 99
        with contextlib.suppress(BaseException):
            code = work()
        os._exit(code if isinstance(code, int) else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def send_at(monkeypatch, number, forward):
    """Send this process a signal inside a given forward pass."""
    original, count = LossModule.forward, [0]

    def stepped(self, batch):
        if self.training and torch.is_grad_enabled():
            count[0] += 1
            if count[0] == forward:
                os.kill(os.getpid(), number)
        return original(self, batch)

    monkeypatch.setattr(LossModule, "forward", stepped)


def argv(values):
    """The command line of options."""
    found = []
    for key, value in values.items():
        flag = f"--{key.replace('_', '-')}"
        found += [flag] if value is True else [flag, str(value)]
    return found


@pytest.mark.parametrize("forward", [6, 13, 26])  # step 2, 4, 7; inside accumulation
def test_killed_and_resumed_equals_straight(
    straight, pipeline, manifest, tmp_path, monkeypatch, forward
):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out)
    with monkeypatch.context() as patch:
        send_at(patch, signal.SIGKILL, forward)
        ended = in_child(lambda: train(**values, quiet=True) and 0)
    assert ended == -signal.SIGKILL
    assert not (out / "result").exists()
    done = train(**values, resume=True, quiet=True)
    assert done.step == STEPS
    assert parts(out) == parts(straight)


def test_sigterm_saves_and_resumes_exactly(
    straight, pipeline, manifest, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out)
    with monkeypatch.context() as patch:
        send_at(patch, signal.SIGTERM, 18)
        ended = in_child(lambda: command.main(argv(values)))
    assert ended == 143
    latest, _ = CheckpointStore(out / "checkpoints", 3).latest()
    assert latest.step == 5  # the step of the eighteenth pass was finished
    assert command.main([*argv(values), "--resume"]) == 0
    assert parts(out) == parts(straight)


def tensors_of(out, part="parameters"):
    latest, _ = CheckpointStore(out / "checkpoints", 3).latest()
    return latest.tensors(part)


def stream_of(out):
    rows = [json.loads(line) for line in (out / "draws.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "loss"} for row in rows]


def assert_close(a, b, limit):
    assert set(a) == set(b)
    for name in a:
        assert abs(a[name] - b[name]).max() <= limit, name


def test_batch_split_and_workers_change_no_sample(
    straight, pipeline, manifest, tmp_path
):
    out = tmp_path / "run"
    train(**options(pipeline, manifest, out, micro_batch=3, workers=2), quiet=True)
    assert stream_of(out) == stream_of(straight)
    assert_close(tensors_of(out), tensors_of(straight), 1e-6)


def test_two_processes_equal_one(straight, pipeline, manifest, tmp_path):
    out = tmp_path / "run"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node", "2", "-m"]
    values = options(pipeline, manifest, out)
    done = subprocess.run(
        [*launcher, "tqd_probe.train", *argv(values)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    timing = json.loads((out / "timing.jsonl").read_text().splitlines()[-1])
    assert timing["processes"] == 2
    assert stream_of(out) == stream_of(straight)
    assert_close(tensors_of(out), tensors_of(straight), 1e-6)
    assert_close(tensors_of(out, "ema"), tensors_of(straight, "ema"), 1e-6)
    rows = [json.loads((o / "validation.jsonl").read_text().splitlines()[-1])
            for o in (out, straight)]  # fmt: skip
    for name, one in rows[0]["classes"].items():
        expected = rows[1]["classes"][name]["bucket_loss"]
        assert one["bucket_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_loop_is_plain_training(straight, pipeline, manifest):
    """Three steps of the run against a loop written out with torch alone."""
    from tqd_probe.models.base import collate, per_clip_loss
    from tqd_probe.rng import normal

    model = load_model(str(pipeline))
    videos = {}
    for index in range(9):
        clip = synthetic_clip(index, 8)
        from tqd_probe.clips.video import VideoClip

        source = VideoClip(f"c{index}", clip.caption, manifest.parent / f"c{index}.mp4")
        videos[f"c{index}"] = source.read(model.native), clip.caption
    rows = [
        json.loads(line) for line in (straight / "draws.jsonl").read_text().splitlines()
    ]
    steps = [
        json.loads(x) for x in (straight / "metrics.jsonl").read_text().splitlines()
    ]
    network = model.network
    decayed = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.01},
            {"params": others, "weight_decay": 0},
        ]
    )
    rates = [0.5e-3, 1e-3, 1e-3]
    for step in range(3):
        mine = rows[step * BATCH : (step + 1) * BATCH]
        clips = []
        for row in mine:
            video, caption = videos[row["clip"]]
            clips.append(model.encode(video, "" if row["text_dropped"] else caption))
        batch = collate(clips)
        eps = [
            normal(batch.latents.shape[1:], 0, "train-noise", r["sample"]) for r in mine
        ]
        sigma = torch.tensor([row["sigma"] for row in mine])
        loss = per_clip_loss(model, batch, torch.stack(eps), sigma)
        assert loss.tolist() == pytest.approx([r["loss"] for r in mine], rel=1e-4)
        loss.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        assert float(norm) == pytest.approx(steps[step]["grad_norm"], rel=1e-3)
        assert steps[step]["lr"] == pytest.approx(rates[step])
        for group in optimiser.param_groups:
            group["lr"] = rates[step]
        optimiser.step()
        optimiser.zero_grad()
    saved = load_file(
        straight / "checkpoints" / "step-00000003" / "parameters.safetensors"
    )
    assert_close(saved, dict(network.named_parameters()), 2e-5)


def test_what_a_run_writes(straight):
    names = {p.name for p in straight.iterdir() if not p.name.startswith(".")}
    assert names == {
        *("run.json", "log.txt", "quarantine.json", "density.json", "density.png"),
        *("metrics.jsonl", "timing.jsonl", "draws.jsonl", "validation.jsonl"),
        *("validation_losses.jsonl", "validation.png", "checkpoints", "result"),
    }
    last = json.loads((straight / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == STEPS
    counts = np.array(list(last["density"].values()))
    assert counts.sum() == STEPS * BATCH
    row = json.loads((straight / "validation.jsonl").read_text().splitlines()[0])
    assert row["step"] == 0
    assert all(one["change"] == 0 for one in row["classes"].values())
    kept = sorted(p.name for p in (straight / "checkpoints").iterdir())
    assert kept == [f"step-0000000{n}" for n in (3, 6, 7)]


def predictions(network):
    torch.manual_seed(0)
    x, text = torch.randn(2, 4, 2, 4, 4), torch.randn(2, 6, 16)
    with torch.no_grad():
        return network.eval()(x, torch.tensor([100.0, 700.0]), text, return_dict=False)[
            0
        ]


def test_full_result_loads_with_the_same_output(straight, pipeline):
    from diffusers import WanPipeline

    pipe = WanPipeline.from_pretrained(straight / "result")
    model = load_model(str(pipeline))
    with torch.no_grad():
        for name, value in tensors_of(straight, "ema").items():
            model.network.get_parameter(name).copy_(value)
    assert torch.equal(predictions(pipe.transformer), predictions(model.network))
    file = next((straight / "result" / "transformer").glob("*.safetensors"))
    found = read_metadata(file)
    assert found["step"] == str(STEPS)
    assert found["seed"] == "0"
    assert json.loads(found["sampler"])["kappa_max"] == 8
    assert found["scores"].startswith("clips.csv sha256:")


def scheduled(schedule, pipeline, path):
    made = schedule.model_copy(deep=True)
    made.model.fingerprint = load_model(str(pipeline)).fingerprint
    made.save(path)
    return path


def test_lora_round_trip_with_alpha_other_than_rank(
    pipeline, manifest, schedule, tmp_path
):
    """Through the family's own pipeline, by its own loader."""
    from diffusers import WanPipeline

    bands = scheduled(schedule, pipeline, tmp_path / "bands.json")
    values = options(
        *(pipeline, manifest, tmp_path / "run"),
        full=False,
        lora_rank=2,
        lora_alpha=6,
        lr=0.05,
        steps=4,
        sampler="mixture",
        schedule=bands,
        kappa_max=None,
        ema_decay=0,
        validate_every=0,
        hold_out=0,
    )
    done = train(**values, quiet=True)
    pipe = WanPipeline.from_pretrained(pipeline)
    before = predictions(pipe.transformer)
    pipe.load_lora_weights(done.result)
    after = predictions(pipe.transformer)
    model = load_model(str(pipeline))
    model.add_lora(2, 6.0)
    with torch.no_grad():
        for name, value in tensors_of(tmp_path / "run").items():
            model.network.get_parameter(name).copy_(value)
    assert abs(after - before).max() > 1e-3
    assert torch.equal(after, predictions(model.network))
    found = read_metadata(done.result / "pytorch_lora_weights.safetensors")
    assert json.loads(found["schedule"]) == json.loads(bands.read_text())
    assert json.loads(found["sampler"])["sampler"] == "mixture"
    assert found["base_fingerprint"] == model.fingerprint


def fails(capsys, values, *shown):
    """The command ends with exit code 2 and one line that holds all parts."""
    capsys.readouterr()
    assert command.main(values if isinstance(values, list) else argv(values)) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "\n" not in line, line
    for part in shown:
        assert part in line, line


def test_a_run_is_continued_only_as_it_was(
    straight, pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    before = parts(out)
    values = options(pipeline, manifest, out)
    fails(capsys, values, "holds a training", "--resume")
    fails(capsys, {**values, "resume": True, "lr": 2e-3}, "--lr was 0.001, now 0.002")
    fails(capsys, {**values, "resume": True, "steps": 9}, "--steps was 7, now 9")
    other = tmp_path / "clips.csv"
    text = manifest.read_text().replace("c8.mp4", str(manifest.parent / "c8.mp4"))
    for index in range(8):
        text = text.replace(f"\nc{index}.mp4", f"\n{manifest.parent}/c{index}.mp4")
    other.write_text(text.replace("0.9,0.3", "0.9,0.4"))
    changed = {**values, "resume": True, "clips": other}
    fails(capsys, changed, "--clips was")
    shutil.copy(other, manifest.parent / "changed.csv")
    assert parts(out) == before
    with pytest.raises(TqdError, match="clips differ"):
        original = manifest.read_text()
        try:
            manifest.write_text(original.replace("0.9,0.3", "0.9,0.4"))
            train(**values, resume=True, quiet=True)
        finally:
            manifest.write_text(original)
    assert parts(out) == before


def test_resume_skips_a_damaged_checkpoint(
    straight, pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    os.truncate(out / "checkpoints" / "step-00000007" / "parameters.safetensors", 500)
    assert command.main([*argv(options(pipeline, manifest, out)), "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "step-00000007: skipped, parameters.safetensors has 500 of" in printed
    assert "resumed at step 6" in printed
    assert parts(out) == parts(straight)


def test_a_loss_that_is_not_finite_stops_and_names_the_sample(
    pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, lr=9.0, clip_norm=0, warmup=0)
    values |= {
        "steps": 60,
        "save_every": 1,
        "weight_decay": 10,
        "lr_schedule": "constant",
    }
    from tqd_probe.training import optimisation, trainer

    rate = optimisation.learning_rate
    trainer.learning_rate = lambda step, settings: 1e30 if step >= 2 else 1e-4
    try:
        fails(
            capsys, values, "step 4: ", "is not finite", "clip c", "(class ", "sigma 0."
        )
    finally:
        trainer.learning_rate = rate
    latest, skipped = CheckpointStore(out / "checkpoints", 3).latest()
    assert skipped == []
    assert latest.step == 3


def test_bad_clips_go_to_quarantine_up_to_a_cap(pipeline, manifest, tmp_path, capsys):
    folder = tmp_path / "pool"
    shutil.copytree(manifest.parent, folder)
    (folder / "c1.mp4").write_bytes(b"not a video at all")
    (folder / "c4.mp4").unlink()
    values = options(
        pipeline, folder / "clips.csv", tmp_path / "a", steps=3, hold_out=0
    )
    values |= {"validate_every": 0}
    fails(capsys, {**values, "max_bad": 1}, "c1.mp4", "2 bad clips, --max-bad 1")
    assert set(json.loads((tmp_path / "a" / "quarantine.json").read_text())) == {
        "c1",
        "c4",
    }
    assert command.main([*argv(values), "--max-bad", "2"]) == 0
    drawn = {row["clip"] for row in stream_of(tmp_path / "a")}
    assert drawn.isdisjoint({"c1", "c4"})


def test_a_schedule_must_be_of_this_model(
    pipeline, manifest, schedule, tmp_path, capsys
):
    schedule.save(tmp_path / "bands.json")
    values = options(pipeline, manifest, tmp_path / "run", sampler="bands")
    values |= {"schedule": tmp_path / "bands.json"}
    fails(capsys, values, "measured on other weights", "--allow-model-mismatch")
    assert (
        not (tmp_path / "run").exists() or not (tmp_path / "run" / "run.json").exists()
    )
    other = schedule.model_copy(deep=True)
    other.model.prediction = "epsilon"
    other.save(tmp_path / "bands.json")
    fails(
        *(capsys, {**values, "allow_model_mismatch": True}),
        *("model.prediction", "'epsilon'", "'flow_velocity'"),
    )


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"sampler": "bands", "kappa_max": None}, ["--sampler bands needs --schedule"]),
        ({"kappa_max": None}, ["--kappa-max"]),
        ({"hold_out": 0}, ["--validate-every needs clips"]),
        ({"hold_out": 3}, ["--hold-out 3", "has 3 clips"]),
        ({"warmup": 7}, ["--warmup 7: not below --steps 7"]),
        ({"steps": 0}, ["--steps 0"]),
        ({"device": "tpu"}, ["--device", "tpu", "'cuda'"]),
        ({"clips": "nowhere"}, ["nowhere: no such folder"]),
        ({"prompts": "none.txt", "sample_every": 2}, ["--prompts none.txt"]),
        ({"full": None, "lora_targets": "attn9"}, ["attn9"]),
        (
            {"validation": "synthetic:2", "schedule": "no.json"},
            ["no.json: no such file"],
        ),
    ],
)
def test_bad_options(pipeline, manifest, tmp_path, capsys, changed, shown):
    values = options(pipeline, manifest, tmp_path / "run", **changed)
    fails(capsys, {k: v for k, v in values.items() if v is not None}, *shown)


def test_unknown_options_are_refused(capsys):
    fails(capsys, ["--ckpt", "x", "--learning-rate", "1"], "--learning-rate")
    with pytest.raises(InputError, match="none is kept"):
        from tqd_probe.sampling import ClipPool, make_sampler

        make_sampler("beta", kappa_max=8).check(ClipPool.of(["golden"], [0.0], [0.0]))
