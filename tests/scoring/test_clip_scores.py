import json
import os
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tqd_probe.clips.source import open_clips
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import BadClip, ConfigurationChanged, InputError
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.journal import Journal
from tqd_probe.scoring.local_processes import score_locally
from tqd_probe.scoring.run import score
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.scoring.tasks import Task, list_tasks


@pytest.fixture
def videos(folder_of_clips, tmp_path):
    folder = tmp_path / "videos"
    shutil.copytree(folder_of_clips, folder)
    return folder


def run(videos, out, **options):
    options = {"workers": 1, **options}
    return score(ScoreSettings(clips=str(videos), out=out, **options), quiet=True)


def two_scenes(path, first=24, second=20):
    """A dark moving pattern, then a bright one."""
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 60, (48, 120, 3), np.uint8)
    wall = wall.repeat(2, 0).repeat(2, 1)[:48, :120]
    frames = [wall[:, n : n + 64] for n in range(first)]
    frames += [255 - wall[:, n : n + 64] for n in range(second)]
    write_video(path, np.stack(frames), 16)


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


def test_two_processes_give_the_same_bytes(videos, tmp_path):
    run(videos, tmp_path / "one.csv")
    run(videos, tmp_path / "two.csv", workers=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_ray_with_two_workers_gives_the_same_bytes(videos, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    (videos / "bad.mp4").write_bytes(b"no video")
    run(videos, tmp_path / "one.csv")
    # Half of the clips are done already, as after a kill.
    journal = (tmp_path / "one.journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "two.journal.jsonl").write_text("".join(journal[:4]))
    options = {"workers": 2, "engine": "ray", "shard_size": 2}
    run(videos, tmp_path / "two.csv", **options)
    for name in ("{}.csv", "{}.quarantine.csv"):
        one, two = (tmp_path / name.format(stem) for stem in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    again = (tmp_path / "two.journal.jsonl").read_text().splitlines(keepends=True)
    assert again[:4] == journal[:4]
    assert sorted(again) == sorted(journal)


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


def test_one_process_at_a_time(tmp_path):
    with Journal(tmp_path / "j.jsonl", {"a": 1}):
        with pytest.raises(InputError, match="another process is scoring"):
            Journal(tmp_path / "j.jsonl", {"a": 1})
    (tmp_path / "k.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="not a scoring journal"):
        Journal(tmp_path / "k.jsonl", {"a": 1})


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


@dataclass(frozen=True)
class Killer(Task):
    """A clip that ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_clip_that_kills_its_process_is_found(videos):
    tasks = list_tasks(str(videos))[:2]
    tasks.insert(1, Killer("killer.mp4"))
    found = {
        task.video: result for task, result in score_locally(tasks, ReadOptions(), 2)
    }
    assert "killed the process" in found["killer.mp4"]["bad"]
    assert sorted(found) == sorted(task.video for task in tasks)
    assert all("mq" in result for name, result in found.items() if name[0] != "k")


def test_cuts_are_refused_kept_or_split(tmp_path):
    folder = tmp_path / "v"
    folder.mkdir()
    two_scenes(folder / "cut.mp4")
    (folder / "cut.txt").write_text("a pattern")
    with pytest.raises(InputError, match=r"cut at 1\.50 s; --cuts split"):
        run(folder, tmp_path / "a.csv")
    assert run(folder, tmp_path / "b.csv", cuts="keep")["clips"] == 1
    summary = run(folder, tmp_path / "c.csv", cuts="split")
    assert summary["clips"] == 2
    clips = open_clips(str(tmp_path / "c.csv"), None, 0)
    both = [*clips.golden, *(clip for part in clips.others.values() for clip in part)]
    assert sorted(clip.id for clip in both) == [
        "c_scenes/cut-scene000",
        "c_scenes/cut-scene001",
    ]
    assert {clip.caption for clip in both} == {"a pattern"}
    # The scenes hold the frames on each side of the cut, and no other.
    from tqd_probe.clips.frame_stream import FrameStream

    for name, count, dark in (("cut-scene000", 24, True), ("cut-scene001", 20, False)):
        with FrameStream(tmp_path / "c_scenes" / f"{name}.mp4") as stream:
            frames = list(stream)
        assert len(frames) == count
        assert all((frame.mean() < 100) == dark for frame in frames)
    short = run(folder, tmp_path / "d.csv", cuts="split", min_scene=1.4)
    assert short["clips"] == 1
    with pytest.raises(InputError, match="none of 2 s or more"):
        run(folder, tmp_path / "e.csv", cuts="split", min_scene=2)


def test_tables_name_clips_captions_and_sources(videos, tmp_path):
    table = tmp_path / "clips.jsonl"
    rows = [
        {"path": "videos/c1.mp4", "caption": "one", "source": "web", "reward_MQ": "A"},
        {"path": "videos/c0.mp4", "caption": "two"},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(table, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0].endswith("class,caption,source")
    assert lines[1].startswith("videos/c1.mp4,")
    assert lines[1].endswith(",one,web")
    table.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="listed twice"):
        list_tasks(str(table))
    table.write_text('{"clip": "a"}\n')
    with pytest.raises(InputError, match="column 'video' is missing"):
        list_tasks(str(table))


def test_faults_of_the_source(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("video\na\0b.mp4\n")
    for source, text in (
        (str(table), "line 2: video: holds a NUL"),
        ("absent", "no such folder"),
        ("synthetic", "how many"),
        ("synthetic:x", "how many"),
        (str(tmp_path), "holds no videos"),
    ):
        with pytest.raises(InputError, match=text):
            list_tasks(source)
    # A fault of the source leaves nothing behind.
    with pytest.raises(InputError):
        run("absent", tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == [table]
    assert [task.video for task in list_tasks("synthetic:9", 2)] == [
        "synthetic:0",
        "synthetic:1",
    ]


def test_rate_and_length_of_reading(videos):
    task = Task(str(videos / "c0.mp4"))  # 14 frames at 16 fps
    whole = score_clip(task, ReadOptions())
    half = score_clip(task, ReadOptions(fps=8))
    assert whole["components"] != half["components"]
    first = score_clip(task, replace(ReadOptions(), frames=5))
    assert first["components"] != whole["components"]
    assert "bad" in score_clip(task, ReadOptions(fps=3))  # 3 frames
