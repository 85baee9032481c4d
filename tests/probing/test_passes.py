import pytest
import torch
from probe_runs import arguments, numbers, result

from tqd_probe import gradsim


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
