"""Two processes that share the weights: in step, and equal to one process."""

import contextlib
import os

import numpy as np
import pytest
from child_processes import in_two_processes
from probe_runs import arguments, fails, finished, kill_at_draw, numbers, result
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from tqd_probe import gradsim
from tqd_probe.core.command_line import parse
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.probing.run import run_probe

# Five clips of two versions each: an odd number of micro-batches at either level.
ODD = "--num-clips 5 --draws 1 --levels 0.2,0.8 --degradations blur:4 --device cpu"
ODD += " --least-clips 4 --batch-size 2 --sketch 8192 --metric adam --checkpointing on"


@pytest.fixture(scope="module")
def alone(pipeline, tmp_path_factory):
    """The run of one process with whole weights."""
    out = tmp_path_factory.mktemp("alone") / "run"
    finished(pipeline, out, ODD)
    return out


def sharded(pipeline, out, *extra):
    options = parse(
        gradsim.GradsimOptions, [*arguments(pipeline, out, "--shard", ODD), *extra], ""
    )
    return lambda: run_probe(options, progress=False)


def assert_same_figures(out, alone):
    a, b = result(alone), result(out)
    assert b["covered_share"] == pytest.approx(1, abs=1e-5)
    assert a["cost"] == b["cost"]
    found, expected = numbers(b), numbers(a)
    assert len(found) == len(expected) > 100
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def noting(note, run):
    """Run, and note the passes of this process and what it holds of the weights."""
    capture, count = GradientCapture.capture, [0]

    def counted(self, losses, clips):
        count[0] += 1
        blocks = self.network.blocks
        assert all(isinstance(block, FSDPModule) for block in blocks)
        for parameter in self.network.parameters():
            assert isinstance(parameter, DTensor)
        return capture(self, losses, clips)

    GradientCapture.capture = counted  # in a child alone
    run()
    (note / os.environ["RANK"]).write_text(str(count[0]))


@pytest.mark.two_processes
def test_two_processes_that_share_weights_equal_one(
    alone, pipeline, tmp_path, monkeypatch
):
    """Killed and resumed: one lost its draws, and has more passes left than the other.

    Five micro-batches cannot be shared evenly either.
    """
    out = tmp_path / "run"
    run = sharded(pipeline, out)

    def killed():
        if os.environ["RANK"] == "1":
            kill_at_draw(monkeypatch, 2)
        with contextlib.redirect_stderr(None), contextlib.suppress(Exception):
            run()
        return 3

    assert -9 in in_two_processes(killed)
    assert not (out / "gradsim.json").exists()
    assert in_two_processes(lambda: noting(tmp_path, run)) == [0, 0]
    assert_same_figures(out, alone)
    first, second = (int((tmp_path / str(rank)).read_text()) for rank in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        ("--offload", "--offload: needs weights that are whole"),
        ("--quantise int8", "--quantise: needs weights that are whole"),
        ("--compile on", "--compile on: needs weights that are whole"),
        ("--self-check", "--self-check: needs weights that are whole"),
    ],
)
def test_what_needs_whole_weights_is_refused(pipeline, tmp_path, extra, shown):
    from tqd_probe.core.errors import InputError
    from tqd_probe.core.processes import Processes
    from tqd_probe.probing.checkpoint import choose_placement

    argv = arguments(pipeline, tmp_path / "run", f"--shard {extra}")
    options = parse(gradsim.GradsimOptions, argv, "")
    with pytest.raises(InputError, match=shown):
        choose_placement(options, Processes(0, 2))


def test_weights_are_divided_over_several_processes_only(
    pipeline, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "run"
    fails(capsys, arguments(pipeline, out, "--shard"), "and there is one; start")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    fails(capsys, arguments(pipeline, out), "--shard: divides weights over processes")
    assert not out.exists()
