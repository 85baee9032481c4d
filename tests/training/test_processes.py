"""Processes and the split of a batch change nothing but the rounding of sums.

Adam divides the gradient of an element by its own size. Where a gradient is all
rounding (a few elements in 20,000) another order of summing moves the element by up to
the learning rate: the bound of 1e-6 is for the rate of these runs, 1e-4.
"""

import json
import shutil
from functools import partial

import pytest
import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from child_processes import in_two_processes
from probe_runs import finished
from torch.distributed.tensor import DTensor
from training_runs import (
    argv,
    assert_close,
    options,
    parts,
    stream_of,
    tensors_of,
)

from tqd_probe.core.errors import InputError, TqdError
from tqd_probe.train import main
from tqd_probe.training import accelerator as processes
from tqd_probe.training.callbacks.base import Callback
from tqd_probe.training.train import train

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "NO_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    "FSDP_OFFLOAD_PARAMS": "false",
}


def sharded(work, version=2):
    """Run a function in two processes that share the network by FSDP.

    accelerate shards over GPUs only and falls back to DDP without a word. Its state is
    set here to what it would be on GPUs; what shards is accelerate and torch.
    """

    def over_gloo(**options):
        made = Accelerator(**options)
        made.state.distributed_type = DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        made.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=version)
        return made

    def inside():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(processes, "Accelerator", over_gloo)
            work()

    return in_two_processes(inside, **FSDP)


@pytest.fixture(scope="module")
def alone(pipeline, manifest, tmp_path_factory):
    """The run of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    train(**options(pipeline, manifest, out, lr=1e-4), quiet=True)
    return out


def assert_same_training(out, alone):
    assert stream_of(out) == stream_of(alone)
    for part in ("parameters", "ema"):
        assert_close(tensors_of(out, part), tensors_of(alone, part), 1e-6)
    rows = [
        json.loads((o / "validation.jsonl").read_text().splitlines()[-1])
        for o in (out, alone)
    ]
    for name, one in rows[0]["classes"].items():
        expected = rows[1]["classes"][name]["bucket_loss"]
        assert one["bucket_loss"] == pytest.approx(expected, rel=1e-5)


def test_batch_split_and_workers_change_no_sample(alone, pipeline, manifest, tmp_path):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, lr=1e-4, micro_batch=3, workers=2)
    train(**values, quiet=True)
    assert_same_training(out, alone)


@pytest.mark.two_processes
def test_two_processes_of_the_command_equal_one(alone, pipeline, manifest, tmp_path):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, lr=1e-4)
    assert in_two_processes(lambda: main(argv(values))) == [0, 0]
    timing = json.loads((out / "timing.jsonl").read_text().splitlines()[-1])
    assert timing["processes"] == 2
    assert_same_training(out, alone)


@pytest.mark.two_processes
def test_shards_in_two_processes_equal_one_and_resume(
    alone, pipeline, manifest, tmp_path
):
    """FSDP2: trained, saved whole, and resumed from the middle to the same bytes."""
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, lr=1e-4)
    kinds = tmp_path / "kinds"

    def work():
        train(**values, callbacks=[SeesShards(kinds)], quiet=True)

    assert sharded(work) == [0, 0]
    assert kinds.read_text() == "all are shards"
    assert_same_training(out, alone)
    assert_same_weights(out / "result", alone / "result", 1e-6)
    before = parts(out)
    for step in (6, 7):
        shutil.rmtree(out / "checkpoints" / f"step-0000000{step}")
    again = {**values, "resume": True, "callbacks": [SeesShards(kinds)]}
    assert sharded(lambda: train(**again, quiet=True)) == [0, 0]
    assert parts(out) == before


class SeesShards(Callback):
    """Notes whether this process has but a part of each parameter."""

    name = "sees-shards"

    def __init__(self, note):
        self.note = note

    def on_train_begin(self, training):
        if training.accelerator.is_main_process:
            values = list(training.parameters.values())
            some = [v for v in values if isinstance(v, DTensor)]
            parts = sum(v.to_local().numel() for v in some)
            whole = sum(v.numel() for v in values)
            fair = len(some) == len(values) and 0.4 < parts / whole < 0.6
            self.note.write_text("all are shards" if fair else "not sharded")


def assert_same_weights(a, b, limit):
    from diffusers import WanPipeline

    networks = [WanPipeline.from_pretrained(path).transformer for path in (a, b)]
    found, expected = (dict(network.named_parameters()) for network in networks)
    assert_close(found, expected, limit)


@pytest.mark.two_processes
def test_a_sharded_lora_trains_and_saves(pipeline, manifest, tmp_path):
    values = {"full": False, "lora_rank": 2, "steps": 2, "lr": 1e-4, "warmup": 0}
    values |= {"validate_every": 0, "hold_out": 0, "ema_decay": 0}
    one = options(pipeline, manifest, tmp_path / "one", **values)
    two = {**one, "out": tmp_path / "two"}
    train(**one, quiet=True)
    assert sharded(lambda: train(**two, quiet=True)) == [0, 0]
    a, b = (tensors_of(tmp_path / name) for name in ("one", "two"))
    assert_close(a, b, 1e-6)


@pytest.mark.two_processes
def test_what_shards_cannot_do_is_refused(pipeline, manifest, tmp_path):
    """One line in every process, nothing written."""
    out = tmp_path / "run"
    for more, shown, launch in (
        ({"sample_every": 2}, "--sample-every: needs the full network", sharded),
        ({"offload": True, "full": False}, "--offload: FSDP divides weights", sharded),
        ({}, "set fsdp_version: 2", partial(sharded, version=1)),
        ({}, "FSDP shards networks over GPUs", partial(in_two_processes, **FSDP)),
        ({"batch_size": 3}, "not a multiple of the 2 processes", in_two_processes),
    ):
        values = options(pipeline, manifest, out, **more)

        def refused(values=values, shown=shown):
            with pytest.raises(InputError, match=shown):
                train(**values, quiet=True)
            torch.distributed.barrier()  # the other one may not have begun

        assert launch(refused) == [0, 0]
        assert not out.exists()


@pytest.mark.two_processes
def test_another_configuration_is_refused_in_every_process(
    alone, pipeline, manifest, tmp_path
):
    """The main process names the fault; the others end too, and do not wait."""
    out = tmp_path / "run"
    shutil.copytree(alone, out)
    before = parts(out)
    values = options(pipeline, manifest, out, lr=2e-4)

    def refused():
        with pytest.raises(TqdError, match=r"--lr was 0\.0001, now 0\.0002"):
            train(**values, quiet=True)

    assert in_two_processes(refused) == [0, 0]
    assert parts(out) == before


def test_the_schedule_is_measured_again_with_two_processes(pipeline, tmp_path):
    base = (
        "--num-clips 5 --least-clips 4 --levels 0.2,0.8 --draws 1 --degradations blur:4"
    )
    extra = "--cos-min -0.5 --norm-range 0.01,100"
    finished(pipeline, tmp_path / "probe", base, extra)
    values = {
        "ckpt": str(pipeline),
        "clips": "synthetic:6",
        "sampler": "bands",
        "schedule": tmp_path / "probe" / "bands.json",
        "steps": 4,
        "full": True,
        "batch_size": 2,
        "warmup": 0,
        "lr": 1e-4,
        "reprobe_every": 2,
        "report_to": "none",
        "device": "cpu",
        "record_draws": True,
    }
    train(**values, out=tmp_path / "one", quiet=True)
    two = {**values, "out": tmp_path / "two"}
    assert in_two_processes(lambda: train(**two, quiet=True)) == [0, 0]
    rows = [
        json.loads((tmp_path / name / "reprobe.jsonl").read_text())
        for name in ("one", "two")
    ]
    assert [row["step"] for row in rows] == [2, 2]
    moved = [row["classes"]["visual_degraded"]["cosine_moved"] for row in rows]
    assert moved[0] == pytest.approx(moved[1], abs=1e-4)
    assert moved[0] > 0
    assert stream_of(tmp_path / "one") == stream_of(tmp_path / "two")
    assert_close(tensors_of(tmp_path / "one"), tensors_of(tmp_path / "two"), 1e-6)
