import numpy as np
import pytest
import torch
from probe_runs import (
    EIGHT,
    SMALL,
    arguments,
    copy_of,
    fails,
    finished,
    numbers,
    result,
    results,
)
from safetensors.numpy import save_file

from tqd_probe import gradsim
from tqd_probe.gradients.store import GradientStore
from tqd_probe.models.load import load_model


def test_checkpointing_changes_nothing(probe_run, pipeline, tmp_path):
    out = tmp_path / "c"
    assert gradsim.main(arguments(pipeline, out, "--checkpointing on")) == 0
    assert numbers(result(out)) == numbers(result(probe_run))


def test_an_interrupted_run_keeps_what_it_has(
    probe_run, pipeline, tmp_path, monkeypatch
):
    out, put = tmp_path / "i", GradientStore.put_draw

    def interrupted(self, level, clip, *more):
        if (level, clip) == (1, 2):
            raise KeyboardInterrupt
        put(self, level, clip, *more)

    with monkeypatch.context() as patch:
        patch.setattr(GradientStore, "put_draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finished(pipeline, out, SMALL)
    assert len(list(out.glob("gradients/level-01/*"))) == 4
    captured = []
    with monkeypatch.context() as patch:
        patch.setattr(
            GradientStore,
            "put_draw",
            lambda self, *draw: captured.append(draw[:3]) or put(self, *draw),
        )
        finished(pipeline, out, SMALL)
    assert captured[0] == (1, 2, 0)  # level 0 and four draws of level 1 are there
    assert results(out) == results(probe_run)


@pytest.mark.long
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


def test_adam_state_of_equal_moments_changes_no_cosine(pipeline, tmp_path):
    plain = finished(pipeline, tmp_path / "raw", EIGHT, "--metric raw")
    network = load_model(str(pipeline)).network
    state = {
        f"{name}.exp_avg_sq": np.full(tuple(p.shape), 4.0, np.float32)
        for name, p in network.named_parameters()
    }
    save_file(state, tmp_path / "adam.safetensors")
    extra = f"--metric fisher --adam-state {tmp_path / 'adam.safetensors'}"
    changed = finished(pipeline, tmp_path / "a", EIGHT, extra)
    assert changed["criterion"]["metric"] == "fisher"
    for key in ("cosine", "norm_ratio"):
        found = changed["subjects"]["freeze:5"][key]
        expected = plain["subjects"]["freeze:5"][key]
        assert found == pytest.approx(expected, rel=1e-4)
    signal, raw = (r["golden"]["signal"] for r in (changed, plain))
    # every entry divided by its root, 2, damped by a tenth of the median
    assert np.array(signal) == pytest.approx(np.array(raw) / 2.2**2, rel=1e-4)


def test_estimated_second_moments_resume(eight_clips_run, pipeline, tmp_path):
    out = copy_of(eight_clips_run, tmp_path)
    assert result(out)["criterion"]["metric"] == "adam"  # by default
    kept = out / "gradients" / "second_moments.safetensors"
    stamp = kept.read_bytes()
    assert finished(pipeline, out, EIGHT) == result(eight_clips_run)
    assert kept.read_bytes() == stamp


def test_a_wrong_adam_state_is_refused(pipeline, tmp_path, capsys):
    path = tmp_path / "adam.safetensors"
    argv = ["--ckpt", str(pipeline), "--out", str(tmp_path / "x"), *EIGHT.split()]
    argv += ["--adam-state", str(path)]
    fails(capsys, argv, str(path), "no such file")
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{}")  # a header that is cut short
    fails(capsys, argv, str(path), "cannot be read as safetensors")
    save_file({"other": np.ones(3, np.float32)}, path)
    fails(capsys, argv, str(path), "no second moments")
