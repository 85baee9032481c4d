"""Runs and clips that several tests of the probe read."""

import csv

import pytest
from probe_runs import EIGHT, finished


@pytest.fixture(scope="session")
def eight_clips_run(pipeline, built_once):
    """A finished probe of eight clips with one draw, enough to resolve golden."""

    def build(folder):
        finished(pipeline, folder / "run", EIGHT)

    return built_once.get("eight", build) / "run"


@pytest.fixture(scope="session")
def scored(built_once):
    """Real mp4 files: 8 golden, 8 visually and 3 motion degraded, by their scores."""
    return built_once.get("scored", write_scored) / "clips.csv"


def write_scored(folder):
    from tqd_probe.clips.shape import ClipShape
    from tqd_probe.clips.synthetic import synthetic_clip
    from tqd_probe.clips.video import write_video

    rows = []
    for index in range(19):
        clip = synthetic_clip(index, 9)
        write_video(folder / f"c{index}.mp4", clip.read(ClipShape(6, 32, 32, 16)), 16)
        mq, vq = (0.9, 0.8) if index < 8 else (0.9, 0.1) if index < 16 else (0.2, 0.9)
        rows.append([f"c{index}.mp4", clip.caption, mq, vq])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([["video", "caption", "mq", "vq"], *rows])
