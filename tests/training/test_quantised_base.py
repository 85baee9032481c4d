"""A LoRA trained on a base in 8 bits: resumed to the same bytes; what is refused."""

import shutil

import pytest
from child_processes import in_two_processes
from safetensors.torch import load_file
from training_runs import assert_close, fails, options, parts, tensors_of

from tqd_probe.models.load import load_model
from tqd_probe.models.quantisation import is_quantised
from tqd_probe.training.callbacks.base import Callback
from tqd_probe.training.train import train
from tqd_probe.training.weight_metadata import read_metadata

LORA = {"full": False, "lora_rank": 2, "steps": 4, "save_every": 2, "keep": 3}
LORA |= {"warmup": 0, "quantise": "int8"}


class SeesBase(Callback):
    """Notes which parameters of the network are codes, and which are trained."""

    name = "sees-base"

    def on_train_begin(self, training):
        network = training.loss.network
        self.codes = {n for n, p in network.named_parameters() if is_quantised(p)}
        self.trained = {n for n, p in network.named_parameters() if p.requires_grad}


def test_a_lora_on_an_int8_base_trains_and_resumes(pipeline, manifest, tmp_path):
    pytest.importorskip("torchao")
    out, seen = tmp_path / "run", SeesBase()
    values = options(pipeline, manifest, out, **LORA)
    train(**values, callbacks=[seen], quiet=True)
    assert "blocks.0.attn1.to_q.base_layer.weight" in seen.codes
    assert seen.trained == set(tensors_of(out))
    assert all(".lora_" in name for name in seen.trained)
    before = parts(out)
    shutil.rmtree(out / "checkpoints" / "step-00000004")
    train(**values, resume=True, callbacks=[seen], quiet=True)
    assert parts(out) == before
    # The file loads on the base as it is stored, and says what it was trained on.
    file = out / "result" / "pytorch_lora_weights.safetensors"
    assert read_metadata(file)["base_quantised"] == "int8"
    network = load_model(str(pipeline), lora=file).network
    loaded = {n: p for n, p in network.named_parameters() if ".lora_" in n}
    assert sum(p.numel() for p in loaded.values()) == sum(
        v.numel() for v in load_file(file).values()
    )
    moved = [v for n, v in tensors_of(out).items() if ".lora_B." in n]
    assert all(0 < value.abs().max() <= 4 * values["lr"] for value in moved)


@pytest.mark.two_processes
def test_two_processes_train_a_lora_on_an_offloaded_int8_base_as_one_does(
    pipeline, manifest, tmp_path
):
    pytest.importorskip("torchao")
    few = {**LORA, "steps": 2, "lr": 1e-4, "validate_every": 0, "hold_out": 0}
    one = options(pipeline, manifest, tmp_path / "one", **few)
    two = {**one, "out": tmp_path / "two", "offload": True}
    train(**one, quiet=True)
    assert in_two_processes(lambda: train(**two, quiet=True)) == [0, 0]
    assert_close(*(tensors_of(tmp_path / name) for name in ("one", "two")), 1e-6)


def test_what_a_quantised_base_cannot_do_is_refused(
    pipeline, manifest, tmp_path, capsys
):
    """One line before anything runs, and nothing is written."""
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, **LORA)
    fails(capsys, {**values, "full": True}, "--full: weights in int8 cannot be trained")
    away = {**values, "quantise": "none", "offload": True, "full": True}
    fails(capsys, away, "--offload: moves frozen weights")
    schedule = tmp_path / "bands.json"
    schedule.write_text("{}")
    again = {"reprobe_every": 2, "sampler": "bands", "schedule": schedule}
    lines = {k: v for k, v in values.items() if k not in ("full", "kappa_max")}
    fails(capsys, {**lines, **again}, "--reprobe-every: writes the network")
    assert not out.exists()
