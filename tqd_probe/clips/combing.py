"""Recognise interlaced video that the file does not mark as such, from its pixels.

In such a frame odd and even rows are of two instants, half a frame apart. So the rows
of one field agree better with the other field of the frame before than with that of the
frame after, and the rows of the other field the other way round; in a progressive frame
both agree with both alike, however it moves and whatever fine pattern it has. This
asymmetry is that of FFmpeg's filter `idet`
(https://ffmpeg.org/ffmpeg-filters.html#idet). It is counted only where pixels move, and
is judged at several places of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

FIRST, EVERY, MOST = 1, 7, 8  # frames judged; 7 meets all phases of a 3:2 pulldown
COLUMNS = 160  # at most, evenly spaced
ASYMMETRY = 1.25  # ratio of the two disagreements from which a frame is interlaced
COMBING = 0.75  # least disagreement inside the frame, of that with the near fields
MOVING, LEAST = 12, 0.005  # a pixel moves from this change on (of 255); share of such
NEEDED = 2  # frames that must be interlaced, all with the same field first
SHARE = 0.3  # of the frames that move; a 3:2 pulldown combs two of five


@dataclass
class CombDetector:
    """Judges the frames of one video as they are decoded.

    Attributes:
        votes: For each frame that moves: 1 if it is interlaced with the upper field
            first, -1 with the lower one, 0 if it is progressive.
    """

    votes: list[int] = field(default_factory=list)
    _held: list[np.ndarray] = field(default_factory=list)
    _number: int = -1

    @property
    def wants(self) -> bool:
        """Whether the next frame's rows are needed."""
        middle, place = divmod(self._number + 1 - FIRST + 1, EVERY)
        return 0 <= middle < MOST and place < 3

    def skip(self) -> None:
        """Pass over a frame that is not wanted."""
        self._number += 1
        self._held.clear()

    def add(self, luma: np.ndarray) -> None:
        """Judge a frame.

        Args:
            luma: Its luma, uint8 ``[rows, columns]``.
        """
        self._number += 1
        step = -(-luma.shape[1] // COLUMNS)
        self._held.append(luma[:, ::step].astype(np.int16))
        if len(self._held) == 3:
            vote = judge(self._held)
            if vote is not None:
                self.votes.append(vote)
            self._held.clear()

    @property
    def interlaced(self) -> bool:
        """Whether the video looks interlaced."""
        upper, lower = self.votes.count(1), self.votes.count(-1)
        most = max(upper, lower)
        return min(upper, lower) == 0 and most >= max(NEEDED, SHARE * len(self.votes))


def judge(frames: Sequence[np.ndarray]) -> int | None:
    """Judge the middle one of three frames in a row.

    Args:
        frames: Luma ``[rows, columns]`` of each, signed.

    Returns:
        1 if it is interlaced with the upper field first, -1 with the lower one, 0 if it
        is progressive; None if it does not move or is too small.
    """
    before, middle, after = frames
    if min(middle.shape) < 8 or not before.shape == middle.shape == after.shape:
        return None
    between = middle[:-2] + middle[2:]  # twice the mean of the rows above and below
    past, within, future = (np.abs(between - 2 * each[1:-1]) for each in frames)
    moving = np.abs(after - before)[1:-1] > MOVING
    # Rows 1, 3, 5, ... of the frame are places 0, 2, 4, ... here: the lower field's.
    lower, upper = moving[::2], moving[1::2]
    if min(lower.sum(), upper.sum()) < LEAST * moving.size / 2:
        return None
    with_before = past[::2][lower].mean(), past[1::2][upper].mean()
    with_after = future[::2][lower].mean(), future[1::2][upper].mean()
    upper_first = float(with_before[0] + with_after[1])  # disagreement of near fields
    lower_first = float(with_before[1] + with_after[0])
    combing = float(within[::2][lower].mean() + within[1::2][upper].mean())
    if combing < COMBING * min(upper_first, lower_first):
        return 0
    if lower_first > ASYMMETRY * upper_first:
        return 1
    return -1 if upper_first > ASYMMETRY * lower_first else 0
