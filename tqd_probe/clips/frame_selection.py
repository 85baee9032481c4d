"""Choose the frames and pixels of a video that make a clip of a wanted shape.

Time: frame ``i`` of a clip is the source frame that is shown nearest to ``i / rate``
seconds after the first one, by the file's own timestamps; half-way between two, the
earlier. So motion has its true speed at every source rate, also a variable one: frames
are left out or repeated as needed. They are never blended, because a blend is also a
blur. Slow motion asks for instants that lie closer together. Nothing is shown after the
end of the last source frame.

Space: a centre crop to the wanted aspect ratio, then an area resize. Nothing is
enlarged, because an enlarged clip is a blurred one. A clip that already fits is
unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import cv2
import numpy as np

# Seconds. Half-way between two frames is decided alike in all containers: their stamps
# are rounded to a millisecond in some.
HALF_WAY = 1e-3
ROUNDING = 1e-6  # seconds, of sums and ratios of floats


class Timed(Protocol):
    """What is shown for a while."""

    @property
    def time(self) -> float:
        """When it begins, in seconds from the first frame."""

    @property
    def duration(self) -> float:
        """For how long it is shown if it is the last, in seconds; 0 where unknown."""


Frame = TypeVar("Frame", bound=Timed)


def nearest_frames(
    frames: Iterable[Frame], instants: Iterable[float]
) -> Iterator[tuple[Frame, int]]:
    """Choose the frames nearest to instants; no further frames are asked for.

    Args:
        frames: Frames in the order in which they are shown, the first at 0.
        instants: Seconds from the first frame, rising.

    Yields:
        Each frame chosen, and the number of instants it is chosen for, one or more. The
        numbers add up to less than the instants where the frames end before.
    """
    waiting = _Instants(instants)
    last: Frame | None = None
    chosen, interval = 0, 0.0  # instants of the last frame; time between the last two
    for frame in frames:
        if last is not None:
            interval = frame.time - last.time
            chosen += waiting.take((last.time + frame.time) / 2 + HALF_WAY)
            if chosen:
                yield last, chosen
        chosen = waiting.take(frame.time)
        if waiting.ended:
            if chosen:
                yield frame, chosen
            return
        last = frame
    if last is not None:
        end = last.time + (last.duration or interval)
        chosen += waiting.take(end - 2 * HALF_WAY)
        if chosen:
            yield last, chosen


class _Instants:
    """Rising instants that are taken up to a time."""

    def __init__(self, instants: Iterable[float]) -> None:
        self._instants = iter(instants)
        self._next = next(self._instants, math.inf)

    @property
    def ended(self) -> bool:
        return self._next == math.inf

    def take(self, end: float) -> int:
        """Return how many of those left lie before a time or at it."""
        count = 0
        while self._next <= end + ROUNDING:
            count += 1
            self._next = next(self._instants, math.inf)
        return count


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
