import os
import shutil
import signal

import pytest
import torch
from child_processes import in_child
from training_runs import STEPS, argv, fails, options, parts, send_at, tensors_of

from tqd_probe.core.errors import TqdError
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.train import main
from tqd_probe.training.checkpoint import CheckpointStore
from tqd_probe.training.train import train


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
    done = train(**values, quiet=True)
    assert done.step == STEPS
    assert parts(out) == parts(straight)


def test_sigterm_saves_and_resumes_exactly(
    straight, pipeline, manifest, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out)
    with monkeypatch.context() as patch:
        send_at(patch, signal.SIGTERM, 18)
        ended = in_child(lambda: main(argv(values)))
    assert ended == 143
    latest, _ = CheckpointStore(out / "checkpoints", 3).latest()
    assert latest.step == 5  # the step of the eighteenth pass was finished
    assert main(argv(values)) == 0  # the same command
    assert parts(out) == parts(straight)


def test_resume_wants_something_to_resume(pipeline, manifest, tmp_path, capsys):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, resume=True)
    fails(capsys, values, "--resume", "holds no training to resume", "check --out")
    assert not out.exists()


def test_a_run_is_continued_only_as_it_was(
    straight, pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    before = parts(out)
    values = options(pipeline, manifest, out)
    assert main(argv(values)) == 0  # finished: nothing left to do
    assert parts(out) == before
    fails(capsys, {**values, "lr": 2e-3}, "--lr was 0.001, now 0.002")
    fails(capsys, {**values, "steps": 9}, "--steps was 7, now 9")
    fails(capsys, {**values, "resume": True, "lr": 2e-3}, "--lr was 0.001, now 0.002")
    pool = tmp_path / "pool"
    shutil.copytree(manifest.parent, pool)
    changed = {**values, "resume": True, "clips": pool / manifest.name}
    fails(capsys, changed, "--clips was")
    assert parts(out) == before


def test_clips_whose_scores_changed_are_noticed(straight, pipeline, manifest, tmp_path):
    pool, out = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(manifest.parent, pool)
    shutil.copytree(straight, out)
    note, clips = out / "run.json", pool / manifest.name
    note.write_text(note.read_text().replace(str(manifest), str(clips)))
    before = parts(out)
    values = options(pipeline, clips, out, resume=True)
    train(**values, quiet=True)  # as it was: nothing left to do
    clips.write_text(clips.read_text().replace("0.9,0.3", "0.9,0.4"))
    with pytest.raises(TqdError, match="clips differ"):
        train(**values, quiet=True)
    assert parts(out) == before


def test_resume_skips_a_damaged_checkpoint(
    straight, pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    os.truncate(out / "checkpoints" / "step-00000007" / "parameters.safetensors", 500)
    assert main([*argv(options(pipeline, manifest, out)), "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "step-00000007: skipped, parameters.safetensors has 500 of" in printed
    assert "resumed at step 6" in printed
    assert parts(out) == parts(straight)


def test_callbacks_enabled_later_start_fresh(straight, pipeline, manifest, tmp_path):
    """Sample videos and agreement had no state in the checkpoint."""
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    shutil.rmtree(out / "checkpoints" / "step-00000007")
    more = {"sample_every": 1, "sample_steps": 1, "guidance": 1, "agreement_every": 1}
    train(**options(pipeline, manifest, out, **more), quiet=True)
    assert tensors_of(out).keys() == tensors_of(straight).keys()
    for name, value in tensors_of(straight).items():
        assert torch.equal(tensors_of(out)[name], value), name
    assert [row["step"] for row in read_jsonl(out / "agreement.jsonl")] == [7]
    assert [p.name for p in (out / "samples").iterdir()] == ["step-00000007"]


def test_validation_enabled_later_refers_to_where_it_began(
    pipeline, manifest, tmp_path
):
    values = options(pipeline, manifest, tmp_path, steps=4, save_every=2)
    train(**{**values, "validate_every": 0}, quiet=True)
    shutil.rmtree(tmp_path / "checkpoints" / "step-00000004")
    train(**{**values, "validate_every": 1}, quiet=True)
    rows = read_jsonl(tmp_path / "validation.jsonl")
    assert [row["step"] for row in rows] == [2, 3, 4]
    assert rows[0]["classes"]["golden"]["change"] == 0
    assert rows[1]["classes"]["golden"]["change"] != 0


def test_a_refused_run_leaves_the_directory_to_the_next(
    pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, steps=1, warmup=0)
    del values["full"]
    fails(capsys, {**values, "lora_targets": "attn9"}, "attn9")
    assert not (out / "run.json").exists()
    train(**values, quiet=True)
