"""The study of a GPU at toy sizes on a CPU: all parts, and what ends them early."""

import json
import sys
import time

import pytest
import torch

from analyses.cost import gpu
from tqd_probe.gradients import compiled


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The command with some entries; returns its results and what it printed."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")  # and restored

    def command(*options, entries=gpu.ENTRIES):
        monkeypatch.setattr(gpu, "ENTRIES", entries)
        path = tmp_path / "gpu.json"
        argv = ["gpu", "--small", "--device", "cpu", "--results", str(path)]
        monkeypatch.setattr(sys, "argv", [*argv, *options])
        gpu.main()
        return json.loads(path.read_text()), capsys.readouterr().out

    return command


@pytest.mark.long
def test_an_entry_of_every_kind_is_measured_and_shown(run, monkeypatch):
    monkeypatch.setattr(gpu, "VERY_LONG_PASS", 0.0)  # nothing is repeated
    first = gpu.ENTRIES[0]
    (compiled,) = (entry for entry in gpu.ENTRIES if entry.compiled)
    others = [entry for entry in gpu.ENTRIES if entry.model != first.model]
    by_model = {entry.model: entry for entry in others if "14B" not in entry.model}
    entries = (first, *by_model.values(), compiled)
    assert len(entries) == 4
    found, printed = run(entries=entries)
    assert found["device"] == "cpu"
    assert len(found["rows"]) == len(entries)
    for entry in entries:
        row = found["rows"][str(entry)]
        assert "failed" not in row, row
        ways = set(gpu.WAYS[:4])
        if entry.compiled:
            ways = {"plain", "sketched"}
        elif not entry.checkpointing:
            ways |= set(gpu.WAYS[4:7])
        assert set(row["seconds"]) == ways
        assert min(row["seconds"].values()) > 0
        assert row["clips_per_second"] == pytest.approx(1 / row["seconds"]["sketched"])
        assert f"| {entry} |" in printed


def test_the_default_probe_is_predicted_from_passes_and_encoding():
    found = {
        "seconds": {"sketched": 0.5},
        "encoding": {"float32": 2.0, "bfloat16": 1.0},
        "vae_dtype": "bfloat16",
    }
    versions = 24 * 5  # clips, and golden beside four degradations
    assert gpu.predict(found) == {
        "encoding": versions * 1.0,
        "capture": versions * 10 * 2 * 0.5,  # ten levels, two draws
        "all": versions * 11.0,
    }


def test_a_pass_without_memory_is_left_out_and_the_others_are_measured(
    run, monkeypatch
):
    actions = gpu.actions_of

    def short(task, entry):
        def fails():
            raise torch.OutOfMemoryError("CUDA out of memory")

        return {**actions(task, entry), "plain": fails}

    monkeypatch.setattr(gpu, "actions_of", short)
    found, printed = run(entries=gpu.ENTRIES[:1])
    (row,) = found["rows"].values()
    assert row["out_of_memory"] == ["plain"]
    assert set(row["seconds"]) == set(gpu.WAYS[1:7])
    assert "failed" not in row
    assert "(" not in printed.splitlines()[-1].partition("|")[2].split("|")[2]


def test_an_entry_that_takes_too_long_is_ended_and_the_next_one_begins(
    run, monkeypatch
):
    measure = gpu.measure_passes

    def slow(found, entry, *more):
        if entry == gpu.ENTRIES[0]:
            time.sleep(30)
        measure(found, entry, *more)

    monkeypatch.setattr(gpu, "measure_passes", slow)
    began = time.monotonic()
    found, _ = run("--budget", "4", entries=gpu.ENTRIES[:2])
    first, second = found["rows"].values()
    assert first["failed"] == "not done after 3 s"
    assert "seconds" in second
    assert time.monotonic() - began < 20


def test_short_passes_are_launched_in_a_row_and_long_ones_once(monkeypatch):
    """By a clock of our own, which every pass advances."""
    from types import SimpleNamespace

    clock, passes = [0.0], []

    def run(*takes):
        clock[0], passes[:] = 0.0, []
        monkeypatch.setattr(gpu, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

        def action():
            clock[0] += takes[min(len(passes), len(takes) - 1)]
            passes.append(1)

        return gpu.timed("cpu", action), len(passes)

    assert run(2.0, 1.0, 1.5, 0.5) == (1.0, 4)  # warmed up, then the mean of three
    assert run(5.0, 4.0) == (4.0, 2)
    assert run(5.0, 1.0) == (1.0, 5)  # the first one compiled
    assert run(11.0) == (11.0, 1)


def test_without_a_gpu_real_sizes_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    assert "there is no GPU; --small" in capsys.readouterr().err
