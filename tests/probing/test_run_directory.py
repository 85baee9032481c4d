"""What a run directory may hold, and what happens to what it holds."""

import json

import pytest
from probe_runs import arguments, copy_of, fails, finished, results


def test_changed_configuration_is_refused_unless_overwritten(
    probe_run, pipeline, tmp_path, capsys
):
    out = copy_of(probe_run, tmp_path)
    before = results(out)
    changed = arguments(pipeline, out, "--draws 1")
    fails(capsys, changed, "--draws was 2, now 1", "--overwrite")
    fails(capsys, arguments(pipeline, out, "--cos-min 0.5"), "--cos-min was 0.9")
    assert results(out) == before
    stamp = (out / "gradients" / "gram-00.safetensors").stat().st_mtime_ns
    # Gradients that still fit are kept.
    finished(pipeline, out, extra="--cos-min 0.5 --overwrite")
    assert (out / "gradients" / "gram-00.safetensors").stat().st_mtime_ns == stamp
    finished(pipeline, out, extra="--draws 1 --overwrite")
    assert json.loads((out / "bands.json").read_text())["golden"]["draws"] == 1


def test_a_damaged_gram_says_how_to_go_on(probe_run, pipeline, tmp_path, capsys):
    out = copy_of(probe_run, tmp_path)
    before = results(out)
    path = out / "gradients" / "gram-01.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    fails(capsys, arguments(pipeline, out), "gram-01.safetensors", "delete this file")
    path.unlink()
    finished(pipeline, out)
    assert results(out) == before


def test_out_that_cannot_be_used(pipeline, probe_run, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    fails(capsys, arguments(pipeline, file), f"--out {file}", "is a file")
    assert file.read_text() == "mine"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    fails(capsys, arguments(pipeline, folder), "not empty and not a run")
    fails(capsys, arguments(pipeline, file / "below"), str(file / "below"), "cannot be")


def test_overwrite_touches_only_runs(pipeline, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "thesis"
    (folder / "gradients").mkdir(parents=True)
    (folder / "gradients" / "chapter.tex").write_text("mine")
    argv = arguments(pipeline, folder, "--overwrite")
    fails(capsys, argv, "not empty and not a run")
    assert (folder / "gradients" / "chapter.tex").read_text() == "mine"
    fails(capsys, arguments(pipeline, "", "--overwrite"), "--out: is empty")
    monkeypatch.chdir(folder)
    fails(capsys, arguments(pipeline, ".", "--overwrite"), "--out", "of its own")


def test_one_process_per_run_directory(probe_run, pipeline, tmp_path, capsys):
    from tqd_probe.core.run_directory import lock_directory

    out = copy_of(probe_run, tmp_path)
    lock = lock_directory(out)
    fails(capsys, arguments(pipeline, out), "another process is working in it")
    lock.close()
    finished(pipeline, out)


@pytest.mark.parametrize("text", ["[]", '{"settings": []}', "{"])
def test_a_damaged_run_json_is_named(probe_run, pipeline, tmp_path, capsys, text):
    out = copy_of(probe_run, tmp_path)
    (out / "run.json").write_text(text)
    fails(capsys, arguments(pipeline, out), "run.json")
