import threading

import pytest
import torch
from probe_runs import arguments, numbers, result

from tqd_probe import gradsim
from tqd_probe.probing.passes import Behind


def test_one_task_at_a_time_in_the_order_given():
    done, running = [], []

    def task(number):
        running.append(threading.get_ident())
        done.append(number)

    with Behind() as behind:
        for number in range(20):
            behind.put(task, number)
            assert len(done) >= number  # all but the last one are finished
    assert done == list(range(20))
    assert set(running) != {threading.get_ident()}
    assert len(set(running)) == 1


def test_an_error_surfaces_at_the_next_task_and_at_the_end():
    def full():
        raise OSError("disk full")

    with Behind() as behind:
        behind.put(full)
        with pytest.raises(OSError, match="disk full"):
            behind.put(print)
    with pytest.raises(OSError, match="disk full"):
        with Behind() as behind:
            behind.put(full)


def test_checkpointing_changes_nothing(probe_run, pipeline, tmp_path):
    out = tmp_path / "c"
    assert gradsim.main(arguments(pipeline, out, "--checkpointing on")) == 0
    assert numbers(result(out)) == numbers(result(probe_run))


def test_compiled_blocks_change_nothing(
    probe_run, pipeline, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("tqd_probe.gradients.compiled.BACKEND", "eager")
    out = tmp_path / "compiled"
    more = arguments(pipeline, out, "--compile on --levels 0.5")
    assert gradsim.main(more) == 0
    a, b = result(out)["subjects"]["blur:4"], result(probe_run)["subjects"]["blur:4"]
    assert a["cosine_naive"] == pytest.approx(b["cosine_naive"][1:2], rel=1e-4)
    torch.compiler.reset()
    monkeypatch.setattr("tqd_probe.gradients.compiled.BACKEND", _no_compiler)
    more = arguments(pipeline, tmp_path / "none", "--compile on --levels 0.3")
    assert gradsim.main(more) == 2
    assert "torch cannot compile the blocks" in capsys.readouterr().err


def _no_compiler(graph, inputs):
    raise RuntimeError("no compiler")
