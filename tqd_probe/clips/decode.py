"""Frames of a video file at the shape a model wants, decoded in this process.

`tqd_probe.clips.decoding_process` calls it in a process of its own: decoders are C
code, and a damaged file may crash them.
"""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np

from tqd_probe.clips.frame_selection import crop_and_resize, nearest_frames
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video_reader import VideoReader
from tqd_probe.core.errors import BadClip, ClipTooSmall

Size = tuple[float, int, int]  # seconds, height, width


def decode_frames(path: Path, shape: ClipShape, slow: float) -> tuple[np.ndarray, bool]:
    """Decode a file, no further than needed to know its nearest frames.

    Args:
        path: The file.
        shape: Frames, pixels and rate of the result.
        slow: Slow-motion factor; 2 asks for instants half as far apart.

    Returns:
        RGB video, uint8 ``[frames, height, width, 3]``; whether it looks interlaced.

    Raises:
        BadClip: If the file is missing, not a video, damaged or too short; its subclass
            ClipTooSmall if it has fewer pixels than the result.
    """
    images: list[np.ndarray] = []
    times = shape.times(slow)
    with closing(VideoReader(path)) as video:
        for frame, count in nearest_frames(video.frames(), times.tolist()):
            images += [_fit(path, frame.rgb(), shape)] * count
        interlaced = video.looks_interlaced
    if len(images) < shape.frames:
        raise BadClip(
            f"{path}: length: ends at {video.end:.3f} s; {shape.frames} frames"
            f" at {shape.fps * slow:g} fps need more than {times[-1]:.3f} s; give a"
            " longer clip or ask for fewer frames (--frames)"
        )
    return np.stack(images), interlaced


def _fit(path: Path, image: np.ndarray, shape: ClipShape) -> np.ndarray:
    """Return one frame cropped and shrunk.

    Raises:
        ClipTooSmall: If it would have to be enlarged.
    """
    height, width = image.shape[:2]
    if height < shape.height or width < shape.width:
        raise ClipTooSmall(
            f"{path}: size: {height} x {width} pixels is smaller than the"
            f" wanted {shape.height} x {shape.width}, and enlarging would"
            " blur the clip; give a larger video or lower --height/--width"
        )
    return crop_and_resize(image, shape.height, shape.width)


def decode_size(path: Path) -> Size:
    """Return the stated length and the shown size of a video, from its first frame.

    Args:
        path: The file.

    Returns:
        Seconds, infinite where the file states none; height and width in pixels.

    Raises:
        BadClip: If the file is missing, not a video or damaged.
    """
    with closing(VideoReader(path)) as video:
        first = next(iter(video.frames()), None)
        if first is None:
            raise BadClip(f"{path}: video: holds no frame; replace the file")
        height, width = first.rgb().shape[:2]
        return video.seconds or math.inf, height, width


def decode_whole(path: Path) -> None:
    """Decode every frame of a file, for a library that will decode it by itself.

    Args:
        path: The file.

    Raises:
        BadClip: If the file is missing, not a video or damaged.
    """
    with closing(VideoReader(path)) as video:
        if not sum(1 for _ in video.frames()):
            raise BadClip(f"{path}: video: holds no frame; replace the file")
