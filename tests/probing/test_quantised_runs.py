"""Probes of a network whose weights are held in 8 bits, from the command line."""

import json

import pytest
from probe_runs import arguments, fails, result

from tqd_probe import gradsim

FEW = "--num-clips 4 --least-clips 4 --draws 1 --levels 0.2,0.8 --degradations blur:4"


def test_an_int8_probe_from_the_command_line(pipeline, tmp_path, capsys):
    """Self-check against the dequantised network in float64; what is recorded."""
    pytest.importorskip("torchao")
    out = tmp_path / "run"
    extra = "--quantise int8 --sketch 8192 --self-check --device cpu"
    assert gradsim.main(arguments(pipeline, out, extra, FEW)) == 0
    printed = capsys.readouterr().err
    assert "number type fp32 on int8 weights" in printed
    assert "self-check passed: engine within" in printed
    found = result(out)
    assert found["covered_share"] == pytest.approx(1, abs=1e-5)
    recorded = json.loads((out / "run.json").read_text())["settings"]
    assert recorded["quantise"] == "int8"
    changed = arguments(pipeline, out, "--sketch 8192 --self-check", FEW)
    fails(capsys, changed, "--quantise was int8, now none")


def test_nf4_without_a_gpu_is_refused_before_anything_is_written(
    pipeline, tmp_path, capsys
):
    out = tmp_path / "run"
    argv = arguments(pipeline, out, "--quantise nf4 --device cpu", FEW)
    fails(capsys, argv, "--quantise nf4: needs a CUDA GPU", "use --quantise int8")
    assert not out.exists()
