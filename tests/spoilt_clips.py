"""Clips of which half are noise, and schedules that train these or leave them out."""

import csv

import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.rng import stream
from tqd_probe.models.load import load_model


def write_spoilt_clips(folder):
    """Golden clips, and as many of noise that call themselves visually degraded."""
    rows = [["video", "caption", "mq", "vq", "class"]]
    for index in range(8):
        clip = synthetic_clip(index, 21)
        video = clip.read(ClipShape(17, 64, 64, 16))
        name = "golden" if index % 2 else "visual_degraded"
        if name != "golden":
            noise = stream(0, "spoilt", index).integers(0, 256, video.shape)
            video = noise.astype(np.uint8)
        write_video(folder / f"c{index}.mp4", video, 16)
        rows.append([f"c{index}.mp4", clip.caption, 0.5, 0.5, name])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)


def write_schedule(schedule, path, bands):
    """A schedule that trains the noise clips in given bands of sigma."""
    made = schedule.model_copy(deep=True)
    made.model.fingerprint = load_model("tiny").fingerprint
    made.classes["visual_degraded"].bands = bands
    made.mixture = None
    made.save(path)
    return path
