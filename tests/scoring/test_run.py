import shutil

import numpy as np
import pytest
from score_runs import run, two_scenes

from tqd_probe.clips.source import open_clips
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import BadClip, ConfigurationChanged, InputError
from tqd_probe.scoring.clip_scores import score_clip


def test_rows_stand_in_order_and_serve_as_manifest(videos, tmp_path):
    summary = run(videos, tmp_path / "scores.csv")
    assert summary["clips"] == 6
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "video,mq,vq,mq_raw,vq_raw,components,class"
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"videos/c{n}.mp4" for n in range(6)
    ]
    # Captions are in text files beside the videos; only golden clips are probed.
    clips = open_clips(str(tmp_path / "scores.csv"), None, 0)
    total = len(clips.golden) + sum(map(len, clips.others.values()))
    assert total == 6
    assert summary["classes"]["golden"] == len(clips.golden)
    assert not (tmp_path / "scores.quarantine.csv").exists()


def test_a_killed_run_goes_on_after_its_last_whole_line(videos, tmp_path, monkeypatch):
    run(videos, tmp_path / "a.csv")
    expected = (tmp_path / "a.csv").read_bytes()
    journal = tmp_path / "a.journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:30])
    (tmp_path / "a.csv").unlink()
    seen = []

    def spy(task, reading):
        seen.append(task.video)
        return score_clip(task, reading)

    monkeypatch.setattr("tqd_probe.scoring.local_processes.score_clip", spy)
    run(videos, tmp_path / "a.csv")
    assert seen == [str(videos / f"c{n}.mp4") for n in (3, 4, 5)]
    assert (tmp_path / "a.csv").read_bytes() == expected
    assert journal.read_bytes() == b"".join(lines)


def test_a_changed_file_is_scored_again(videos, tmp_path, monkeypatch):
    run(videos, tmp_path / "a.csv")
    two_scenes(videos / "c2.mp4", 30, 0)
    seen = []

    def spy(task, reading):
        seen.append(task.video)
        return score_clip(task, reading)

    monkeypatch.setattr("tqd_probe.scoring.local_processes.score_clip", spy)
    run(videos, tmp_path / "a.csv")
    assert seen == [str(videos / "c2.mp4")]


def test_other_settings_are_refused_unless_told(videos, tmp_path):
    run(videos, tmp_path / "a.csv")
    with pytest.raises(ConfigurationChanged, match=r"fps was 16\.0, now 8\.0"):
        run(videos, tmp_path / "a.csv", fps=8)
    run(videos, tmp_path / "a.csv", fps=8, overwrite=True)
    # Normalisation and thresholds are not part of the measurement.
    summary = run(videos, tmp_path / "a.csv", fps=8, normalise="none", mq_min="q0.9")
    assert summary["normalisation"] == "none"


def test_bad_clips_are_listed_with_reasons(videos, tmp_path):
    (videos / "empty.mp4").write_bytes(b"")
    whole = (videos / "c0.mp4").read_bytes()
    (videos / "torn.mp4").write_bytes(whole[: len(whole) // 2])
    write_video(videos / "short.mp4", np.zeros((3, 32, 32, 3), np.uint8), 16)
    summary = run(videos, tmp_path / "a.csv")
    assert (summary["clips"], summary["quarantined"]) == (6, 3)
    text = (tmp_path / "a.quarantine.csv").read_text()
    assert "empty.mp4" in text
    assert "torn.mp4" in text
    assert "3 at the rate of scoring, 4 needed" in text
    assert (videos / "empty.mp4").exists()
    with pytest.raises(BadClip, match="2 bad clips, --max-bad 1"):
        run(videos, tmp_path / "b.csv", max_bad=1)
    assert not (tmp_path / "b.csv").exists()
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(videos / "empty.mp4", only)
    with pytest.raises(InputError, match="none of 1 clips could be scored"):
        run(only, tmp_path / "c.csv")
    assert "empty.mp4" in (tmp_path / "c.quarantine.csv").read_text()
