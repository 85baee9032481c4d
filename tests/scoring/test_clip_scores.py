from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from score_runs import run, two_scenes
from textures import pan
from video_files import encode

from tqd_probe.clips.frame_stream import FrameStream
from tqd_probe.clips.source import open_clips
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.scene_cuts import split_scenes
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


def scores(path):
    return score_clip(Task(str(path)), ReadOptions(cuts="keep"))["components"]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), 12])
def test_the_same_pictures_score_the_same_in_any_container(rate, tmp_path):
    # 20 frames: files that do not state their length are judged as those that do.
    frames = pan(2, 20)
    found = [
        scores(
            encode(
                tmp_path / f"a.{container}",
                frames,
                rate,
                muxer=muxer,
                container={"ts": "mpegts", "mkv": "matroska"}.get(container),
                options={"crf": "0"},  # lossless: the pictures are the same ones
            )
        )
        for container, muxer in (
            ("mp4", {}),
            ("mkv", {}),
            ("mkv", {"live": "1"}),
            ("avi", {}),
            ("ts", {}),
        )
    ]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-9)


def test_uneven_stamps_give_the_motion_of_even_ones(tmp_path):
    frames = pan(2, 33)  # one pixel per half step of the uneven stamps
    even = scores(encode(tmp_path / "a.mkv", frames[::2], 16))
    kept = [0, 2, 3, 6, 8, 9, 12, 14, 16, 17, 20, 22, 24, 26, 27, 30, 32]
    uneven = scores(encode(tmp_path / "b.mkv", frames[kept], 32, kept))
    assert uneven["flow"] == pytest.approx(even["flow"], rel=0.05)
    assert uneven["turning"] < 0.1
    assert uneven["duplicates"] == 0


def test_a_split_keeps_uneven_times(tmp_path):
    two_scenes(tmp_path / "cut.mp4")
    with FrameStream(tmp_path / "cut.mp4") as stream:
        frames = np.stack(list(stream))
    stamps = [number + number // 3 for number in range(len(frames))]
    path = encode(tmp_path / "uneven.mp4", frames, 16, stamps)
    first, second = split_scenes(path, tmp_path, 1.0)
    for file, begin, end in ((first, 0, 24), (second, 24, 44)):
        with FrameStream(file) as stream:
            list(stream)
        wanted = [(stamp - stamps[begin]) / 16 for stamp in stamps[begin:end]]
        assert stream.times == pytest.approx(wanted, abs=1e-4)
