"""Sketched runs beside the exact one."""

import json
import signal

import numpy as np
import pytest
from child_processes import in_child
from probe_runs import arguments, finished, kill_at_draw, result, results

from tqd_probe import gradsim
from tqd_probe.gradients.store import GradientStore
from tqd_probe.statistics.moments import Moments


def test_a_sketched_run_agrees_with_the_exact_one(probe_run, sketched_run):
    a, b = result(probe_run), result(sketched_run)
    assert b["covered_share"] == pytest.approx(1, abs=1e-5)
    assert (a["cost"]["kept"], b["cost"]["kept"]) == ("exact", 8144)
    for name in a["subjects"]:
        one, other = a["subjects"][name], b["subjects"][name]
        assert one["sketch_error"] == [0, 0, 0]
        for x, y, error, ci in zip(
            one["cosine"],
            other["cosine"],
            other["sketch_error"],
            other["cosine_ci"],
        ):
            assert abs(x - y) < max(6 * error, 1e-6)
            assert error < 0.01
            assert ci[0] - 1e-6 <= x <= ci[1] + 1e-6
    same = b["subjects"]["identity:1"]
    assert max(same["sketch_error"]) < 1e-6
    assert a["golden"]["signal"] == pytest.approx(b["golden"]["signal"], rel=0.03)


def test_products_across_levels_of_an_exact_run_are_sketched(probe_run, sketched_run):
    """The exact run sketches its class means; the sketched one was sketched before."""
    moments = []
    for out in (probe_run, sketched_run):
        note = json.loads((out / "gradients" / "store.json").read_text())
        store = GradientStore(out / "gradients", note["fingerprint"])
        moments.append(Moments(**store.moments()))
        assert moments[-1].splits.shape == (16, 9, 9)  # three classes, three levels
        size = sum(p.stat().st_size for p in (out / "gradients").iterdir())
        assert size < 3e5
    whole, sketched = (each.products()[:3, 3:] for each in moments)
    scale = np.sqrt(np.diag(moments[0].products()))
    gaps = (whole - sketched) / scale[:3, None] / scale[None, 3:]
    assert np.isfinite(gaps).all()
    assert np.abs(gaps).max() < 0.2


def test_exact_norms_give_the_exact_diagonal(probe_run, pipeline, tmp_path):
    out = tmp_path / "norms"
    extra = "--sketch 8192 --exact-norms --draws 1"
    finished(pipeline, out, extra=extra)
    whole = tmp_path / "whole"
    finished(pipeline, whole, extra="--draws 1")
    diagonals = []
    for run in (out, whole):
        note = json.loads((run / "gradients" / "store.json").read_text())
        gram = GradientStore(run / "gradients", note["fingerprint"]).level(1)
        diagonals.append(np.einsum("gcici->gci", gram.products))
    np.testing.assert_allclose(*diagonals, rtol=1e-4)


def test_a_killed_sketched_run_ends_with_the_same_bytes(
    sketched_run, pipeline, tmp_path, monkeypatch
):
    out = tmp_path / "killed"
    argv = arguments(pipeline, out, "--sketch 8192 --self-check")
    with monkeypatch.context() as patch:
        kill_at_draw(patch, 13)
        assert in_child(lambda: gradsim.main(argv)) == -signal.SIGKILL
    assert list(out.glob("gradients/level-01/*draw*"))
    finished(pipeline, out, extra="--sketch 8192 --self-check")
    assert results(out) == results(sketched_run)
