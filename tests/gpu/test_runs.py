"""Whole runs on a GPU: against a CPU, resumed, and out of memory."""

import contextlib
import gc
import resource
from pathlib import Path

import pytest
import torch
from probe_runs import fails, results
from training_runs import options, parts

from tqd_probe import gradsim
from tqd_probe.core.command_line import parse
from tqd_probe.gradients.store import GradientStore
from tqd_probe.probing import run
from tqd_probe.training.model import LossModule
from tqd_probe.training.train import train

pytestmark = pytest.mark.gpu

TINY = "--num-clips 6 --draws 1 --levels 0.3,0.7 --degradations blur:3,freeze:5"
TINY += " --least-clips 4"
EXACT = "--sketch 16384 --exact-resume on"


def probe(device, out, extra=""):
    argv = ["--ckpt", "tiny", "--device", device, "--out", str(out)]
    argv += [*TINY.split(), *extra.split()]
    return run.run_probe(parse(gradsim.GradsimOptions, argv, "gradsim"), progress=False)


@pytest.mark.long
@pytest.mark.parametrize("extra", ["--sketch exact", "--sketch 16384"])
def test_tiny_gives_the_curves_and_bands_of_a_cpu(device, tmp_path, cache, extra):
    """Both encode their clips themselves and compute in float32."""
    found, wanted = (
        probe(name, tmp_path / name, f"{extra} --cache {tmp_path / name}-cache")
        for name in (device, "cpu")
    )
    assert found.subjects.keys() == wanted.subjects.keys()
    for name, curves in found.subjects.items():
        for field in ("cosine", "norm_ratio"):
            a, b = (getattr(c, field) for c in (curves, wanted.subjects[name]))
            assert a == pytest.approx(b, abs=5e-3), (name, field)


class Stopped(Exception):
    """Ends a run in the middle."""


def stopping(monkeypatch, owner, method, number):
    """Let a call of a method, from 1, end the run."""
    original, count = getattr(owner, method), [0]

    def counted(self, *values, **more):
        count[0] += 1
        if count[0] == number:
            raise Stopped
        return original(self, *values, **more)

    monkeypatch.setattr(owner, method, counted)


@pytest.mark.long
def test_a_resumed_probe_ends_with_the_same_bytes(device, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("tqd_probe.gradients.draws.WRITE_AFTER", 0.0)
        patch.setattr("tqd_probe.gradients.draws.WRITE_RATE", float("inf"))
        stopping(patch, GradientStore, "put_draw", 9)  # in the second level
        with pytest.raises(Stopped):
            probe(device, tmp_path / "stopped", EXACT)
    probe(device, tmp_path / "stopped", EXACT)
    probe(device, tmp_path / "straight", EXACT)
    assert results(tmp_path / "stopped") == results(tmp_path / "straight")


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_resumed_training_ends_with_the_same_bytes(
    device, pipeline, manifest, tmp_path, monkeypatch, dtype
):
    def trained(name):
        values = options(pipeline, manifest, tmp_path / name)
        values |= {"device": device, "dtype": dtype, "exact_resume": "on"}
        train(**values, quiet=True)

    with monkeypatch.context() as patch:
        stopping(patch, LossModule, "forward", 22)  # step 6, after a checkpoint
        with pytest.raises(Stopped):
            trained("stopped")
    trained("stopped")
    trained("straight")
    assert parts(tmp_path / "stopped") == parts(tmp_path / "straight")


@contextlib.contextmanager
def memory_limited(device, megabytes):
    """Let a process have so much more memory than it has now."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        allowed = torch.cuda.memory_reserved() + 1e6 * megabytes
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text().split("VmData:")[1]
    used = 1024 * int(status.split()[0])
    resource.setrlimit(resource.RLIMIT_DATA, (used + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_a_lack_of_memory_ends_in_one_line(device, tmp_path, capsys, monkeypatch):
    """One clip of 3,600 tokens takes 240 MB, and half of it with checkpointing."""
    capture = run.capture_all

    def short(*values):
        with memory_limited(device, 40):  # from here on: clips are encoded
            capture(*values)

    monkeypatch.setattr(run, "capture_all", short)
    argv = ["--ckpt", "tiny", "--device", device, "--out", str(tmp_path / "run")]
    argv += [
        "--num-clips",
        "4",
        "--least-clips",
        "4",
        "--draws",
        "1",
        "--levels",
        "0.5",
        "--height",
        "320",
    ]
    argv += ["--width", "320", "--frames", "33", "--degradations", "blur:3"]
    wanted = f"--device {device}: out of memory with one clip"
    fails(capsys, [*argv, "--sketch", "16384"], wanted)
