import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_runs import options

from tqd_probe.core.errors import InputError
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.weight_metadata import (
    add_metadata,
    read_metadata,
    training_metadata,
)


def described(schedule, **resolved):
    settings = TrainRunSettings(**options("tiny", "synthetic:4", "runs/unused", seed=5))
    return training_metadata(
        settings=settings,
        fingerprint="sha256:1",
        schedule=schedule,
        scores="clips.csv",
        step=9,
        resolved=resolved,
    )


def test_metadata_is_added_and_read_back(tmp_path, schedule):
    file = tmp_path / "weights.safetensors"
    save_file({"w": torch.ones(3)}, file, metadata={"format": "pt"})
    add_metadata(tmp_path, described(schedule, kappa_max=7.5))
    assert load_file(file)["w"].tolist() == [1, 1, 1]
    with safe_open(file, "pt") as handle:
        assert handle.metadata()["format"] == "pt"  # what was there stays
    values = read_metadata(file)
    assert "format" not in values
    assert (values["seed"], values["step"]) == ("5", "9")
    assert json.loads(values["sampler"])["kappa_max"] == 7.5
    assert set(json.loads(values["schedule"])["classes"]) == set(schedule.classes)


def test_no_schedule_no_entry():
    assert "tqd_probe.schedule" not in described(None)


def test_a_torn_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        read_metadata(tmp_path / "w.safetensors")
