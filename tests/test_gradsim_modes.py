"""Sketched, adaptive and shared runs, from the command line to the results."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from tqd_probe import gradsim
from tqd_probe.gradients.store import GradientStore
from tqd_probe.probing import adaptive
from tqd_probe.statistics.similarity import Similarity

SMALL = "--num-clips 5 --levels 0.1,0.5,0.9 --degradations blur:4,freeze:5,identity:1"


def arguments(ckpt, out, extra=""):
    return ["--ckpt", str(ckpt), "--out", str(out), *SMALL.split(), *extra.split()]


def result(out):
    return json.loads((out / "gradsim.json").read_text())


@pytest.fixture(scope="module")
def exact(pipeline, tmp_path_factory):
    out = tmp_path_factory.mktemp("exact") / "run"
    assert gradsim.main(arguments(pipeline, out)) == 0
    return out


@pytest.fixture(scope="module")
def sketched(pipeline, tmp_path_factory):
    out = tmp_path_factory.mktemp("sketched") / "run"
    assert gradsim.main(arguments(pipeline, out, "--sketch 8192 --self-check")) == 0
    return out


def test_a_sketched_run_agrees_with_the_exact_one(exact, sketched):
    a, b = result(exact), result(sketched)
    assert b["covered_share"] == pytest.approx(1, abs=1e-5)
    assert (a["cost"]["kept"], b["cost"]["kept"]) == ("exact", 7888)
    for name in a["subjects"]:
        one, other = a["subjects"][name], b["subjects"][name]
        assert one["sketch_error"] == [0, 0, 0]
        for x, y, error, ci in zip(
            *(one["cosine"], other["cosine"], other["sketch_error"]),
            other["cosine_ci"],
        ):
            if x is None or y is None or error is None or ci is None:
                continue
            assert abs(x - y) < max(6 * error, 1e-6)
            assert error < 0.2
            assert ci[0] <= x <= ci[1] or abs(x - y) < 0.02
    same = b["subjects"]["identity:1"]
    assert max(e for e in same["sketch_error"] if e is not None) < 1e-6
    assert a["golden"]["signal"] == pytest.approx(b["golden"]["signal"], rel=0.2)


def test_sketches_of_an_exact_run_serve_products_across_levels(exact, sketched):
    for out in (exact, sketched):
        note = json.loads((out / "gradients" / "store.json").read_text())
        store = GradientStore(out / "gradients", note["fingerprint"])
        across = store.sketches(0).pair_means(store.sketches(2))
        assert across.shape[1:] == (16, 4, 4)
        assert np.isfinite(across).all()
    size = sum(p.stat().st_size for p in (sketched / "gradients").glob("*-00.*"))
    assert size < 5 * 1e6  # at most 1 MB per clip and level


def test_exact_norms_give_the_exact_diagonal(exact, pipeline, tmp_path):
    out = tmp_path / "norms"
    extra = "--sketch 8192 --exact-norms --draws 1"
    assert gradsim.main(arguments(pipeline, out, extra)) == 0
    whole = tmp_path / "whole"
    assert gradsim.main(arguments(pipeline, whole, "--draws 1")) == 0
    diagonals = []
    for run in (out, whole):
        note = json.loads((run / "gradients" / "store.json").read_text())
        gram = GradientStore(run / "gradients", note["fingerprint"]).level(1)
        diagonals.append(np.einsum("gcici->gci", gram.products))
    np.testing.assert_allclose(*diagonals, rtol=1e-4)


def test_a_killed_sketched_run_ends_with_the_same_bytes(sketched, pipeline, tmp_path):
    out = tmp_path / "killed"
    argv = arguments(pipeline, out, "--sketch 8192 --self-check")
    command = [sys.executable, "-m", "tqd_probe.gradsim", *argv]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)
    while process.poll() is None:
        if len(list(out.glob("gradients/level-01/*draw*"))) >= 2:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.002)
    assert process.returncode == -signal.SIGKILL
    assert gradsim.main(argv) == 0
    for name in ("bands.json", "gradsim.json"):
        assert (out / name).read_bytes() == (sketched / name).read_bytes()


def test_the_meter_predicts_and_measures(exact, pipeline, tmp_path, capsys):
    counted = result(exact)["cost"]
    assert counted["clip_gradients"] == 3 * 5 * 2 * 4
    assert counted["passes"] == 3 * 2  # eight draws in one, two in the other
    assert counted["flops"] == 120 * counted["flops_per_clip_gradient"] > 0
    measured = json.loads((exact / "cost.json").read_text())
    assert measured["predicted"]["clip_gradients"] == 120
    assert measured["achieved"]["clip_gradients"] == 120
    assert measured["achieved"]["ratio_to_plain"] > 0
    before = (exact / "cost.json").read_bytes()
    assert gradsim.main(arguments(pipeline, exact)) == 0  # nothing left to do
    assert "cost:" not in capsys.readouterr().err
    assert (exact / "cost.json").read_bytes() == before


def test_flops_of_a_plain_pass(exact, pipeline):
    """Two per product and weight, three passes; attention is on top."""
    from tqd_probe.models.load import load_model

    network = load_model(str(pipeline)).network
    weights = sum(p.numel() for n, p in network.named_parameters() if "blocks" in n)
    tokens = 2 * 2 * 2  # 5 frames of 32 x 32
    counted = result(exact)["cost"]["flops_per_clip_gradient"]
    assert 0.3 < counted / (6 * weights * tokens) < 3


@pytest.mark.parametrize("text", ["[]", '{"batch_size": 1}', '{"batch_size": "x"}'])
def test_a_damaged_record_of_work_is_named(exact, pipeline, capsys, text):
    path = exact / "gradients" / "work.json"
    before = path.read_bytes()
    path.write_text(text)
    capsys.readouterr()
    assert gradsim.main(arguments(pipeline, exact)) == 2
    assert "work.json: not a record of counts" in capsys.readouterr().err
    path.write_bytes(before)


def test_looks_rise_to_all():
    assert adaptive.looks(24, 2, False) == [(24, 2)]
    assert adaptive.looks(24, 2, True) == [(8, 1), (24, 1), (24, 2)]
    assert adaptive.looks(5, 1, True) == [(5, 1)]


@pytest.mark.parametrize(
    ("cosine_ci", "norm_ci", "expected"),
    [
        ((0.92, 0.99), (0.8, 1.2), True),  # inside
        ((0.2, 0.85), (0.1, 9.0), True),  # outside by the cosine
        ((0.92, 0.99), (2.1, 3.0), True),  # outside by the norm ratio
        ((0.85, 0.99), (0.8, 1.2), False),
        ((0.92, 0.99), (1.5, 2.5), False),
        ((np.nan, np.nan), (0.8, 1.2), False),
    ],
)
def test_a_comparison_is_decided_when_clear_of_thresholds(cosine_ci, norm_ci, expected):
    found = Similarity(0.9, cosine_ci, 0.9, 1.0, norm_ci, 0.0, (-0.1, 0.1))
    assert adaptive.decided(found, 0.9, (0.5, 2.0)) is expected


def test_adaptive_stops_where_all_is_clear(pipeline, tmp_path):
    """Clear levels stop after 8 clips and one draw; resumed runs stop there too."""
    out = tmp_path / "adaptive"
    argv = ["--ckpt", str(pipeline), "--out", str(out), "--num-clips", "10"]
    argv += ["--levels", "0.3,0.7", "--degradations", "identity:1", "--adaptive"]
    assert gradsim.main([*argv, "--cos-min", "0.5"]) == 0
    cost = result(out)["cost"]
    stops = list(zip(cost["clips_per_level"], cost["draws_per_level"]))
    assert set(stops) <= {(8, 1), (10, 1), (10, 2)}
    resolved = result(out)["golden"]["resolved"]
    assert (8, 1) in stops  # identical clips are as good as golden
    assert all(ok or stop == (10, 2) for ok, stop in zip(resolved, stops))
    expected = sum(clips * draws for clips, draws in stops) * 2
    assert cost["clip_gradients"] == expected
    before = (out / "gradsim.json").read_bytes()
    level = stops.index((8, 1))
    for path in (out / "gradients").glob(f"*-0{level}.safetensors"):
        path.unlink()
    assert gradsim.main([*argv, "--cos-min", "0.5"]) == 0
    assert (out / "gradsim.json").read_bytes() == before


def launch(argv, processes=2):
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--multi_gpu", "--num_processes", str(processes)]  # also on CPUs
    command += ["--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["--main_process_port", "0", "-m", "tqd_probe.gradsim", *argv]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300
    )


def numbers(value):
    """All floats of a result, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [x for part in value for x in numbers(part)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("extra", ["--sketch 8192 --self-check"])
def test_two_processes_equal_one(sketched, pipeline, tmp_path, extra):
    out = tmp_path / "two"
    done = launch(arguments(pipeline, out, extra))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("bands of sigma") == 1
    a, b = numbers(result(sketched)), numbers(result(out))
    assert len(a) == len(b) > 100
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    for path in (sketched / "gradients").glob("*.safetensors"):
        from tqd_probe.core.tensor_files import read_tensors

        place = json.loads((sketched / "gradients" / "store.json").read_text())
        level = int(path.stem[-2:])
        known, found = (
            read_tensors(p, f"{place['fingerprint']} {(level,)}")
            for p in (path, out / "gradients" / path.name)
        )
        assert set(known) == set(found)
        for name, value in known.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-7)
    assert json.loads((out / "cost.json").read_text())["predicted"]["processes"] == 2
    # One process goes on with what two have begun, and the other way round.
    for path in (out / "gradients").glob("*-01.safetensors"):
        path.unlink()
    assert gradsim.main(arguments(pipeline, out, extra)) == 0
    np.testing.assert_allclose(numbers(result(out)), a, rtol=1e-6, atol=1e-9)


def test_bad_input_of_two_processes_is_said_once(sketched, pipeline, tmp_path):
    done = launch(arguments(pipeline, sketched, "--sketch 4096"))
    assert done.returncode != 0
    assert done.stderr.count("error: --out") == 1
    assert "--sketch was 8192, now 4096" in done.stderr


def test_sharding_is_refused_in_one_line(pipeline, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert gradsim.main(arguments(pipeline, tmp_path / "f")) == 2
    printed = capsys.readouterr().err
    assert "sharded parameters cannot be captured" in printed
    assert not (tmp_path / "f").exists()


def test_checkpointing_changes_nothing(exact, pipeline, tmp_path):
    out = tmp_path / "c"
    assert gradsim.main(arguments(pipeline, out, "--checkpointing on")) == 0
    assert numbers(result(out)) == numbers(result(exact))


def test_compiled_blocks_change_nothing(exact, pipeline, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tqd_probe.gradients.compiled.BACKEND", "eager")
    out = tmp_path / "compiled"
    more = arguments(pipeline, out, "--compile on --levels 0.5")
    assert gradsim.main(more) == 0
    a, b = result(out)["subjects"]["blur:4"], result(exact)["subjects"]["blur:4"]
    assert a["cosine_naive"] == pytest.approx(b["cosine_naive"][1:2], rel=1e-4)
    torch.compiler.reset()
    monkeypatch.setattr("tqd_probe.gradients.compiled.BACKEND", _no_compiler)
    more = arguments(pipeline, tmp_path / "none", "--compile on --levels 0.3")
    assert gradsim.main(more) == 2
    assert "torch cannot compile the blocks" in capsys.readouterr().err


def _no_compiler(graph, inputs):
    raise RuntimeError("no compiler")


def test_memory_decides_the_batch(exact, pipeline, tmp_path, monkeypatch, capsys):
    """Half the versions fit: two passes per draw, the same numbers."""
    from tqd_probe.probing import cost

    class Small(cost.PeakMemory):
        factor = 3

        def __exit__(self, *rest):
            self.used, self.free = 1000, self.factor * 1000

    monkeypatch.setattr(cost, "PeakMemory", Small)
    out = tmp_path / "small"
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert result(out)["cost"]["batch_size"] == 2  # 0.8 x 3
    assert result(out)["cost"]["passes"] == 60
    a, b = result(out)["subjects"]["blur:4"], result(exact)["subjects"]["blur:4"]
    assert a["cosine_naive"] == pytest.approx(b["cosine_naive"], rel=1e-4)
    monkeypatch.setattr(Small, "factor", 0.5)
    assert gradsim.main(arguments(pipeline, tmp_path / "none")) == 2
    assert "out of memory with one clip; use --checkpointing" in capsys.readouterr().err
