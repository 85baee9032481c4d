"""Clips on their way into a probe."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from crashing_decoder import crash_on
from probe_runs import arguments, fails, finished

from tqd_probe import gradsim

FEW = ("--least-clips", "4")


def test_real_videos_end_to_end(pipeline, folder_of_clips, tmp_path, capsys):
    out = tmp_path / "real"
    argv = ["--ckpt", str(pipeline), "--out", str(out), "--levels", "2", "--clips"]
    more = ["--degradations", "compress:4,slow:3,jitter:2", "--draws", "1", *FEW]
    assert gradsim.main([*argv, str(folder_of_clips), *more]) == 0
    result = json.loads((out / "gradsim.json").read_text())
    assert result["clips"]["ids"] == [f"c{i}" for i in range(6)]
    assert "edges of use" in capsys.readouterr().out


def test_bad_clips_stop_the_run_or_go_to_quarantine(
    pipeline, folder_of_clips, tmp_path, capsys
):
    folder = Path(shutil.copytree(folder_of_clips, tmp_path / "videos"))
    bad = folder / "c2.mp4"
    bad.write_bytes(bad.read_bytes()[:300])
    argv = ["--ckpt", str(pipeline), "--levels", "2", "--clips", str(folder)]
    argv += ["--degradations", "blur:3", "--draws", "1", *FEW, "--out"]
    fails(capsys, [*argv, str(tmp_path / "a")], "c2.mp4")
    assert not (tmp_path / "a").exists()
    base = f"--levels 2 --clips {folder} --degradations blur:3 --draws 1 --max-bad 1"
    base += " --least-clips 5"
    clips = finished(pipeline, tmp_path / "b", base)["clips"]
    assert list(clips["quarantine"]) == ["c2"]
    assert len(clips["ids"]) == 5
    assert bad.exists()
    base = base.replace("--least-clips 5", "--least-clips 6")
    argv = ["--ckpt", str(pipeline), "--out", str(tmp_path / "c"), *base.split()]
    fails(capsys, argv, "5 usable clips, at least 6 are needed")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_clip_that_crashes_its_decoder_is_a_bad_one(
    pipeline, folder_of_clips, tmp_path, capsys, monkeypatch, workers
):
    crash_on(monkeypatch, "c2.mp4", signal.SIGSEGV)
    base = f"--levels 2 --clips {folder_of_clips} --degradations blur:3 --draws 1"
    base += f" --workers {workers} --cache {tmp_path / 'cache'} --least-clips 5"
    argv = ["--ckpt", str(pipeline), *base.split(), "--out", str(tmp_path / "a")]
    said = "c2.mp4: video: crashes its decoder (SIGSEGV); the file is damaged"
    fails(capsys, argv, said, "replace it or leave it out")
    assert not (tmp_path / "a").exists()
    kept = sorted((tmp_path / "cache").rglob("latents/**/*.safetensors"))
    assert len(kept) == 4  # two clips and their copies, encoded before
    stamps = [path.stat().st_mtime_ns for path in kept]
    clips = finished(pipeline, tmp_path / "b", f"{base} --max-bad 1")["clips"]
    assert list(clips["quarantine"]) == ["c2"]
    assert len(clips["ids"]) == 5
    assert [path.stat().st_mtime_ns for path in kept] == stamps


def test_fewer_than_eight_clips(pipeline, folder_of_clips, tmp_path, capsys):
    folder = tmp_path / "few"
    folder.mkdir()
    for index in range(6):
        for suffix in ("mp4", "txt"):
            shutil.copy(folder_of_clips / f"c{index}.{suffix}", folder)
    argv = [
        "--ckpt",
        str(pipeline),
        "--clips",
        str(folder),
        "--out",
        str(tmp_path / "x"),
    ]
    fails(capsys, argv, "6 golden clips, at least 8", "--least-clips")


def test_copies_of_one_clip_are_refused(pipeline, folder_of_clips, tmp_path, capsys):
    folder = tmp_path / "clips"
    shutil.copytree(folder_of_clips, folder)
    video = sorted(folder.glob("*.mp4"))[0]
    shutil.copy(video, folder / "zz.mp4")
    (folder / "zz.txt").write_text("another caption")
    argv = ["--ckpt", str(pipeline), "--clips", str(folder), *FEW]
    argv += ["--out", str(tmp_path / "x")]
    fails(capsys, argv, video.stem, "zz", "same video", "keep one")


def test_a_damaged_cache_entry_is_named(pipeline, tmp_path, capsys):
    finished(pipeline, tmp_path / "a", extra=f"--cache {tmp_path / 'cache'}")
    path = sorted((tmp_path / "cache" / "latents").rglob("*.safetensors"))[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    argv = arguments(pipeline, tmp_path / "b", f"--cache {tmp_path / 'cache'}")
    fails(capsys, argv, str(path), "damaged cache entry; delete it")
