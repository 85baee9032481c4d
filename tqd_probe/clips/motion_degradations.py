"""Motion degradations: frames are repeated, reordered or shifted.

Frames themselves stay as they are; none is blended with another.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import ClipTooSmall, InputError


def freeze(video: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Repeat one frame for a stretch of the clip; later frames keep their times.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        share: Share of the frames that show the repeated one, at least two frames.
        rng: Decides where the stretch begins.

    Returns:
        uint8, same shape.
    """
    frames = len(video)
    length = min(frames, max(2, math.floor(share * frames + 0.5)))
    start = int(rng.integers(frames - length + 1))
    index = np.arange(frames)
    index[start : start + length] = start
    return video[index]


def hold(video: np.ndarray, length: int) -> np.ndarray:
    """Show every `length`-th frame only, each for `length` frames.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        length: Frames of a hold.

    Returns:
        uint8, same shape.
    """
    return video[np.arange(len(video)) // length * length]


def shuffle(video: np.ndarray, window: float, rng: np.random.Generator) -> np.ndarray:
    """Shuffle frames inside consecutive windows, never leaving one in order.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        window: Frames of a window; infinity for the whole clip.
        rng: Decides the orders.

    Returns:
        uint8, same shape. A last window of a single frame stays as it is.
    """
    frames = len(video)
    size = int(min(window, frames))
    index = np.arange(frames)
    for start in range(0, frames, size):
        part = index[start : start + size]  # a view
        ordered = part.copy()
        while len(part) > 1 and np.array_equal(part, ordered):
            rng.shuffle(part)
    return video[index]


def slow(clip: Clip, shape: ClipShape, factor: float) -> np.ndarray:
    """Slow the clip down by reading its source at a smaller stride.

    Args:
        clip: The clip.
        shape: Shape of the result.
        factor: How many times slower.

    Returns:
        RGB video, uint8 ``[frames, height, width, 3]``.
    """
    return clip.read(shape, slow=factor)


def jitter(
    clip: Clip, shape: ClipShape, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Shake the camera: a random shift per frame, in whole pixels.

    The clip is read larger by the amplitude on each side and cropped, so that no
    border appears. Shifts are uniform in +-amplitude and rounded up or down at random,
    in proportion, so that amplitudes below a pixel also differ.

    Args:
        clip: The clip.
        shape: Shape of the result.
        share: Amplitude in shorter sides.
        rng: Decides the shifts.

    Returns:
        RGB video, uint8 ``[frames, height, width, 3]``.

    Raises:
        InputError: If the clip is too small to be read larger.
    """
    amplitude = share * shape.short_side
    margin = math.ceil(amplitude)
    size = (shape.height + 2 * margin, shape.width + 2 * margin)
    try:
        video = clip.read(replace(shape, height=size[0], width=size[1]))
    except ClipTooSmall as error:
        raise InputError(
            f"{clip.id}: jitter: the clip is too small to be read at {size[0]} x"
            f" {size[1]} pixels; give a larger video, lower --height/--width or leave"
            " jitter out"
        ) from error
    shifts = _shifts(shape.frames, amplitude, rng)
    while shape.frames > 1 and (shifts == shifts[0]).all():  # all equal: no jitter
        shifts = _shifts(shape.frames, amplitude, rng)
    out = [
        frame[top : top + shape.height, left : left + shape.width]
        for frame, (top, left) in zip(video, shifts + margin)
    ]
    return np.stack(out)


def _shifts(frames: int, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Return shifts in pixels, int64 ``[frames, 2]``, within +-ceil(amplitude)."""
    exact = rng.uniform(-amplitude, amplitude, (frames, 2))
    return np.floor(exact + rng.random((frames, 2))).astype(np.int64)
