"""Passes above an allocation limit fail as torch's allocators make them fail."""

import json
import signal

import pytest
import torch
from child_processes import in_child
from probe_runs import (
    arguments,
    fails,
    finished,
    kill_at_draw,
    numbers,
    result,
    results,
)

from tqd_probe import gradsim
from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.models.base import per_clip_loss
from tqd_probe.probing.memory_guard import MemoryGuard


class Network(torch.nn.Linear):
    """Counts as a network that can be checkpointed."""

    _supports_gradient_checkpointing = True
    is_gradient_checkpointing = False

    def enable_gradient_checkpointing(self):
        self.is_gradient_checkpointing = True


def limited(most):
    def passes(size):
        tried.append(size)
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return size

    tried = []
    return passes, tried


def limit_passes(monkeypatch, allowed):
    """Let passes fail where a function of network, versions and levels says no."""

    def limited_loss(model, batch, eps, sigma):
        if not allowed(model.network, len(batch.latents), sigma):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return per_clip_loss(model, batch, eps, sigma)

    for module in ("losses", "self_check"):
        monkeypatch.setattr(f"tqd_probe.probing.{module}.per_clip_loss", limited_loss)


def close(out, other):
    a, b = (result(run)["subjects"]["blur:4"]["cosine_naive"] for run in (out, other))
    assert a == pytest.approx(b, rel=1e-4)


def test_passes_are_halved_then_checkpointed_then_refused():
    network, smaller = Network(2, 2), []
    guard = MemoryGuard(network, "cuda", "fp32", "auto")
    passes, tried = limited(2)
    assert guard.run(passes, 11, smaller=smaller.append) == 2
    assert (tried, smaller) == ([11, 5, 2], [5, 2])
    assert not guard.checkpointing_added
    passes, tried = limited(0)
    with pytest.raises(InputError) as error:
        guard.run(passes, 2)
    assert tried == [2, 1, 1]
    assert guard.checkpointing_added
    assert network.is_gradient_checkpointing
    assert str(error.value) == (
        "--device cuda: out of memory with one clip and gradient checkpointing; use"
        " --dtype bf16, --params, or smaller clips (--frames)"
    )


def test_checkpointing_stays_off_where_it_is_asked_or_cannot_be():
    for network, asked, cures in (
        (Network(2, 2), "off", "leave X out, --checkpointing on, --params,"),
        (torch.nn.Linear(2, 2), "auto", "leave X out, --params,"),
    ):
        guard = MemoryGuard(network, "cpu", "bf16", asked)
        with pytest.raises(
            InputError, match=f"out of memory with one clip; use {cures}"
        ):
            guard.run(limited(0)[0], 1, cure="leave X out")
        assert not guard.checkpointing_added


def test_other_errors_pass():
    guard = MemoryGuard(Network(2, 2), "cpu", "fp32", "auto")
    with pytest.raises(RuntimeError, match="same number of elements"):
        guard.run(lambda size: torch.ones(2) @ torch.ones(3), 4)


def test_a_run_in_passes_of_one_version(sketched_run, pipeline, tmp_path, monkeypatch):
    """Coverage check, pilot, trial, cost and probe, each within its limit."""
    limit_passes(monkeypatch, lambda _, versions, sigma: versions <= 1)
    found = finished(pipeline, tmp_path / "one", extra="--sketch 8192 --levels 0.5")
    curve = found["subjects"]["blur:4"]["cosine_naive"]
    expected = result(sketched_run)["subjects"]["blur:4"]["cosine_naive"][1:2]
    assert curve == pytest.approx(expected, rel=1e-2)  # other shares of the sketch
    assert found["covered_share"] == pytest.approx(1, abs=1e-5)
    assert (found["cost"]["batch_size"], found["cost"]["passes"]) == (32, 40)


def test_a_run_that_fits_only_with_checkpointing(
    probe_run, pipeline, tmp_path, monkeypatch, capsys
):
    limit_passes(monkeypatch, lambda network, *_: network.is_gradient_checkpointing)
    out = tmp_path / "checkpointed"
    found = finished(pipeline, out)
    # the coverage is that of one version; all else is the same to the last digit
    same = {**result(probe_run), "covered_share": found["covered_share"]}
    assert numbers(found) == numbers(same)
    argv = arguments(pipeline, tmp_path / "off", "--checkpointing off")
    fails(capsys, argv, "out of memory with one clip; use --checkpointing on")


def test_a_run_that_shrinks_is_resumed_to_the_same_bytes(
    probe_run, pipeline, tmp_path, monkeypatch
):
    """Memory falls short in the second level; killed there, and in the third."""
    seen = []

    def less_later(_, versions, sigma):
        seen.extend([1] * (abs(float(sigma[0]) - 0.5) < 0.05))
        # after two passes of the pilot and two of the probe at that level
        return versions <= (4 if len(seen) > 4 else 8)

    shrunk, killed = tmp_path / "shrunk", [tmp_path / "in-2", tmp_path / "in-3"]
    with monkeypatch.context() as patch:
        limit_passes(patch, less_later)
        finished(pipeline, shrunk, extra="--batch-size 8")
        for number, out in zip((16, 25), killed):
            seen.clear()
            kill_at_draw(patch, number)
            work = in_child(lambda o=out: finished(pipeline, o, extra="--batch-size 8"))
            assert work == -signal.SIGKILL
    close(shrunk, probe_run)
    rows = json.loads((shrunk / "gradients" / "memory-0.json").read_text())["smaller"]
    assert rows == [[1, 0, 2, 4, 0, 1]]
    # five passes; two, and three in halves; five in halves
    assert result(shrunk)["cost"]["passes"] == 5 + 2 + 6 + 10
    for out in killed:
        finished(pipeline, out, extra="--batch-size 8")  # memory is enough again
        assert results(out) == results(shrunk)


def test_one_line_where_nothing_helps(pipeline, tmp_path, monkeypatch, capsys):
    limit_passes(monkeypatch, lambda *_: False)
    argv = arguments(pipeline, tmp_path / "none")
    fails(
        capsys,
        argv,
        "--device cpu: out of memory with one clip and gradient checkpointing; use"
        " --dtype bf16, --params, or smaller clips (--frames)",
    )
    limit_passes(monkeypatch, lambda _, versions, sigma: versions <= 1)
    argv = arguments(pipeline, tmp_path / "check", "--self-check --degradations blur:4")
    fails(capsys, argv, "out of memory with one clip", "use leave out --self-check")


def test_the_self_check_takes_fewer_versions(pipeline, tmp_path, monkeypatch, capsys):
    limit_passes(monkeypatch, lambda _, versions, sigma: versions <= 2)
    argv = arguments(pipeline, tmp_path / "two", "--self-check --levels 0.5")
    assert gradsim.main(argv) == 0
    assert "self-check passed" in capsys.readouterr().err


def test_processes_in_step_do_not_run_a_pass_again(wan):
    """The others wait in it: the run ends at once, in one line."""
    sizes = []

    def passes(size):
        sizes.append(size)
        raise torch.OutOfMemoryError

    guard = MemoryGuard(wan, "cuda", "bf16", "auto", in_step=True)
    with pytest.raises(GradientError, match="--shard: out of memory with 4 clip ver"):
        guard.run(passes, 4)
    assert sizes == [4]
    assert not wan.is_gradient_checkpointing
