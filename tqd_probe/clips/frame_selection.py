"""Choose the frames and pixels of a video that make a clip of a wanted shape.

Time: an integer stride ``k = max(1, floor(source rate / wanted rate + 0.5))``, and
frames ``floor(i k / slow)`` for ``i = 0, 1, ...``, starting at the first. Slow motion
reads the source at a smaller stride; below a stride of 1 it repeats frames. Frames are
never blended, because a blend is also a blur.

Space: a centre crop to the wanted aspect ratio, then an area resize. Nothing is
enlarged, because an enlarged clip is a blurred one. A clip that already fits is
unchanged.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from tqd_probe.clips.shape import ClipShape


def stride(source_fps: float, fps: float) -> int:
    """Return the stride: every how many source frames one is taken.

    Args:
        source_fps: Rate of the video in frames per second.
        fps: Wanted rate in frames per second.

    Returns:
        The ratio of the rates, rounded half up, at least 1.
    """
    return max(1, math.floor(source_fps / fps + 0.5))


def on_stride(number: int, step: int) -> bool:
    """Return whether a source frame is taken at a stride, from the first frame on.

    Args:
        number: Number of the source frame, from 0.
        step: The stride.

    Returns:
        True for 0, step, 2 step, ...
    """
    return number % step == 0


def frame_numbers(shape: ClipShape, source_fps: float, slow: float = 1.0) -> np.ndarray:
    """Return the numbers of the source frames that make a clip.

    Args:
        shape: Frames and rate of the result.
        source_fps: Rate of the video in frames per second.
        slow: Slow-motion factor, 1 for none.

    Returns:
        Frame numbers from 0, int64 ``[frames]``, never decreasing.
    """
    step = stride(source_fps, shape.fps)
    # The small term keeps 33 / 1.1, which computes as 29.999..., at frame 30.
    return np.floor(np.arange(shape.frames) * step / slow + 1e-9).astype(np.int64)


def crop_and_resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Crop an image at its centre and area-resize it.

    Args:
        image: RGB image, uint8 ``[h, w, 3]``, at least as large as the result.
        height: Rows of the result in pixels.
        width: Columns of the result in pixels.

    Returns:
        uint8 ``[height, width, 3]``; the pixels as given when the size is the same.
    """
    rows, columns = image.shape[:2]
    if columns * height > rows * width:  # too wide
        keep_rows, keep_columns = rows, math.floor(rows * width / height + 0.5)
    else:
        keep_rows, keep_columns = math.floor(columns * height / width + 0.5), columns
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    image = image[top : top + keep_rows, left : left + keep_columns]
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
