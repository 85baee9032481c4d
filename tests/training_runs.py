"""What tests that train share: options of a small run, and what it must leave."""

import json
import os

import torch

from tqd_probe.models.load import load_model
from tqd_probe.train import main
from tqd_probe.training.checkpoint import CheckpointStore
from tqd_probe.training.model import LossModule

STEPS, BATCH = 7, 4


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


def scheduled(schedule, pipeline, path):
    made = schedule.model_copy(deep=True)
    made.model.fingerprint = load_model(str(pipeline)).fingerprint
    made.save(path)
    return path


def fails(capsys, values, *shown):
    """The command ends with exit code 2 and one line that holds all parts."""
    capsys.readouterr()
    assert main(values if isinstance(values, list) else argv(values)) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "\n" not in line, line
    for part in shown:
        assert part in line, line
