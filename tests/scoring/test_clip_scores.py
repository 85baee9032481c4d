from dataclasses import replace

import pytest
from score_runs import run, two_scenes

from tqd_probe.clips.source import open_clips
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.tasks import Task


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


def test_rate_and_length_of_reading(videos):
    task = Task(str(videos / "c0.mp4"))  # 14 frames at 16 fps
    whole = score_clip(task, ReadOptions())
    half = score_clip(task, ReadOptions(fps=8))
    assert whole["components"] != half["components"]
    first = score_clip(task, replace(ReadOptions(), frames=5))
    assert first["components"] != whole["components"]
    assert "bad" in score_clip(task, ReadOptions(fps=3))  # 3 frames
