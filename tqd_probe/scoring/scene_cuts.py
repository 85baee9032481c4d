"""Find scene cuts, and split a video at them.

A pair of frames is a cut when its mean change of luma is above 8 levels of 255, and
above three times the largest change of the two pairs before and after, on frames of 96
pixels. An object that passes close to the camera changes luma as much, but over several
frames.
`analyses/scoring/scene_cuts.py` compares this rule with libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from tqd_probe.clips.frame_stream import FrameStream
from tqd_probe.clips.video import write_timed_video
from tqd_probe.core.errors import BadClip
from tqd_probe.scoring.motion import MotionMeter

MIN_CHANGE = 8.0  # levels of 255
MIN_RATIO = 3.0  # to the largest change nearby
NEAR = 2  # pairs on each side
ROUNDING = 1e-6  # seconds
CUT_RULE = (MIN_CHANGE, MIN_RATIO, NEAR)


def find_cuts(changes: Sequence[float]) -> list[int]:
    """Return the frames that begin a new scene.

    Args:
        changes: Mean absolute change of luma per pair of frames, as `MotionMeter` keeps
            it, ``[frames - 1]``.

    Returns:
        Frame numbers, rising; empty for a clip of one scene.
    """
    cuts = []
    for index, change in enumerate(changes):
        begin = max(0, index - NEAR)
        near = [*changes[begin:index], *changes[index + 1 : index + 1 + NEAR]]
        if change > max(MIN_CHANGE, MIN_RATIO * max(near, default=0.0)):
            cuts.append(index + 1)
    return cuts


def split_scenes(path: Path, folder: Path, seconds: float) -> list[Path]:
    """Write each scene of a video to a file of its own, near-lossless.

    The file is read twice, for the cuts and for the scenes; one scene is in memory at a
    time. Odd sizes lose one row or column: H.264 needs even ones.

    Args:
        path: The video.
        folder: Folder for the scenes, ``NAME-scene000.mp4``; existing ones are not
            written again.
        seconds: Scenes shorter than this are left out.

    Returns:
        The scenes in their order; the video itself when it has no cut.

    Raises:
        BadClip: If the video cannot be decoded.
    """
    meter = MotionMeter(flow=False)
    with FrameStream(path) as stream:
        for image in stream:
            meter.add_image(image, stream.times[-1])
        times = stream.times
    cuts = find_cuts(meter.changes)
    if not cuts:
        return [path]
    bounds = [0, *cuts, len(times)]
    ends = [*times, 2 * times[-1] - times[-2]]
    kept = [
        (begin, end)
        for begin, end in pairwise(bounds)
        if end - begin > 1 and ends[end] - ends[begin] >= seconds - ROUNDING
    ]
    if not kept:
        raise BadClip(
            f"{path}: scenes: {len(bounds) - 1} scenes, none of {seconds:g} s or more;"
            " lower --min-scene or leave the file out"
        )
    names = [folder / f"{path.stem}-scene{index:03d}.mp4" for index in range(len(kept))]
    if not all(name.exists() for name in names):
        _write(path, names, kept)
    return names


def _write(path: Path, names: list[Path], kept: list[tuple[int, int]]) -> None:
    """Write the scenes; their frames keep their times."""
    wanted = iter(zip(names, kept))
    name, (begin, end) = next(wanted)
    scene: list[np.ndarray] = []
    with FrameStream(path) as stream:
        for number, image in enumerate(stream):
            if number >= begin:
                height, width = image.shape[:2]
                scene.append(image[: height // 2 * 2, : width // 2 * 2])
            if number + 1 == end:
                write_timed_video(name, np.stack(scene), stream.times[begin:end])
                scene = []
                following = next(wanted, None)
                if following is None:
                    return
                name, (begin, end) = following
