"""The command line: what it writes, what it says, how it goes on."""

import json
import os
import signal
import time

import pytest
from child_processes import ending, in_child, start_child
from probe_runs import FIGURES, arguments, copy_of, fails, kill_at_draw, results

from tqd_probe import gradsim
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import ProbeResult
from tqd_probe.schedules.band_schedule import BandSchedule


def test_everything_a_run_writes(probe_run):
    names = {
        str(p.relative_to(probe_run)) for p in probe_run.rglob("[!.]*") if p.is_file()
    }
    assert names == {
        "run.json",
        "run.toml",
        "gradsim.json",
        "bands.json",
        "clips.csv",
        "cost.json",
        "log.txt",
        "gradients/store.json",
        "gradients/coverage.json",
        "gradients/work.json",
        "gradients/energy.json",
        "gradients/moments.safetensors",
        *(f"gradients/gram-0{i}.safetensors" for i in range(3)),
        *(f"figures/{name}.png" for name in FIGURES),
    }
    schedule = BandSchedule.load(probe_run / "bands.json")
    classes = {"visual_degraded", "motion_degraded"}
    assert set(schedule.measured_classes()) == classes
    assert set(schedule.degradations_detail) == {"blur:4", "freeze:5", "identity:1"}
    assert schedule.noise.levels == [0.1, 0.5, 0.9]
    result = json.loads((probe_run / "gradsim.json").read_text())
    assert result["covered_share"] == pytest.approx(1, abs=1e-6)
    assert schedule == derive_schedule(ProbeResult.load(probe_run / "gradsim.json"))
    identity = schedule.degradations_detail["identity:1"]
    known = [c for c in identity.cosine if c is not None]
    assert known
    assert known == pytest.approx([1.0] * len(known), abs=1e-9)
    assert schedule.provenance.settings["num_clips"] == 5
    assert "out" not in schedule.provenance.settings


def test_the_same_command_again_changes_nothing(probe_run, pipeline, tmp_path, capsys):
    out = copy_of(probe_run, tmp_path)
    before = results(out)
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert results(out) == before
    assert "gradients:" not in capsys.readouterr().err  # none were written
    (out / "gradients" / "gram-01.safetensors").unlink()
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert results(out) == before
    kept = sum(p.stat().st_size for p in (out / "gradients").iterdir())
    said = f" MB written, {kept / 1e6:.3g} MB kept in {out / 'gradients'}\n"
    assert said in capsys.readouterr().err


def test_a_killed_run_ends_with_the_same_bytes(
    probe_run, pipeline, tmp_path, monkeypatch
):
    """Killed inside the first level, then inside the second."""
    out = tmp_path / "killed"
    argv = arguments(pipeline, out)
    for level, draw in ((0, 3), (1, 12)):
        with monkeypatch.context() as patch:
            kill_at_draw(patch, draw)
            assert in_child(lambda: gradsim.main(argv)) == -signal.SIGKILL
        assert list(out.glob(f"gradients/level-0{level}/*draw*"))
        assert not (out / "bands.json").exists()
    assert gradsim.main(argv) == 0
    assert results(out) == results(probe_run)


def test_sigterm_ends_cleanly_and_resumes(probe_run, pipeline, tmp_path):
    out, printed = tmp_path / "stopped", tmp_path / "printed.txt"
    argv = arguments(pipeline, out)
    process = start_child(lambda: gradsim.main(argv), printed)
    began = time.monotonic()
    while not (out / "gradients" / "work.json").exists():  # capturing begins
        assert time.monotonic() - began < 120, printed.read_text()
        time.sleep(0.002)
    os.kill(process, signal.SIGTERM)
    assert ending(process) == 143
    assert "the same command resumes" in printed.read_text()
    assert "Traceback" not in printed.read_text()
    assert gradsim.main(argv) == 0
    assert results(out) == results(probe_run)


def test_no_checkpoint_given(capsys):
    fails(capsys, [], "--ckpt", "required")


def test_help_states_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        gradsim.main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for name in gradsim.GradsimOptions.model_fields:
        assert f"--{name.replace('_', '-')}" in printed
    assert "blur:3,noise:3" in printed
