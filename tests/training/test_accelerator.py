"""Curves in other places: W&B without a connection, where it is installed."""

import pytest
from training_runs import options

from tqd_probe.core.errors import InputError
from tqd_probe.training.train import train

FEW = {"steps": 2, "warmup": 0, "log_every": 1, "hold_out": 0, "validate_every": 0}


def test_tensorboard_has_the_curves(pipeline, manifest, tmp_path):
    from tensorboard.backend.event_processing import event_accumulator

    values = options(pipeline, manifest, tmp_path, report_to="tensorboard", **FEW)
    done = train(**values, quiet=True)
    read = event_accumulator.EventAccumulator(str(tmp_path / "logs" / "tqd_probe"))
    read.Reload()
    losses = [event.value for event in read.Scalars("train/loss")]
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert len(losses) == len(rows) == done.step
    assert {"train/grad_norm", "time/data_wait_share"} <= set(read.Tags()["scalars"])


def test_wandb_writes_into_the_run_directory(pipeline, manifest, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    train(**options(pipeline, manifest, out, report_to="wandb", **FEW), quiet=True)
    (file,) = (out / "logs" / "wandb").glob("offline-run-*/*.wandb")
    assert file.stat().st_size > 1000
    assert not (tmp_path / "wandb").exists()


def test_a_tracker_that_cannot_start_is_said(pipeline, manifest, tmp_path, monkeypatch):
    from accelerate import Accelerator

    def refuses(*args, **options):
        raise RuntimeError("no key\nwas given")

    monkeypatch.setattr(Accelerator, "init_trackers", refuses)
    values = options(pipeline, manifest, tmp_path, report_to="tensorboard", **FEW)
    with pytest.raises(InputError, match="no key was given"):
        train(**values, quiet=True)
