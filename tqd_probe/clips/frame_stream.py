"""Frames of a video file one by one, at their own size, with their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tqd_probe.clips.frame_selection import nearest_frames
from tqd_probe.clips.video_reader import ShownFrame, VideoReader

MOST_INSTANTS = 10_000_000  # a week at 16 per second


class FrameStream:
    """A video file read at a rate; use it in a ``with`` block.

    Attributes:
        path: The file.
        times: When each frame given so far is shown, in seconds from the first.
        expected: About how many frames will be given, by what the file states; the
            limit, or 1, where it states nothing.
    """

    def __init__(self, path: Path, fps: float | None = None, limit: int | None = None):
        """Open a file.

        Args:
            path: The file.
            fps: Wanted rate in frames per second, met by the rule of `frame_selection`;
                but a frame that is nearest to several instants is given once. None
                gives every frame.
            limit: Instants at most, or frames without a rate; None for all.

        Raises:
            BadClip: If the file is missing or not a video.
        """
        self.path = path
        self.times: list[float] = []
        self._fps, self._limit = fps, limit
        self._reader = VideoReader(path)
        stated = self._reader.rate
        rate = min(stated, fps) if stated and fps else fps or stated
        expected = round(self._reader.seconds * rate) or limit or 1
        self.expected = min(expected, limit) if limit else expected

    @property
    def looks_interlaced(self) -> bool:
        """Whether the frames decoded so far look interlaced, unmarked."""
        return self._reader.looks_interlaced

    def __enter__(self) -> FrameStream:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._reader.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield RGB frames, uint8 ``[height, width, 3]``, the right way up.

        Raises:
            BadClip: If a frame is damaged, or the file is cut short.
        """
        for frame in self._frames():
            self.times.append(frame.time)
            yield frame.rgb()
            if self._fps is None and len(self.times) == self._limit:
                return

    def _distinct(self, frames: Iterable[ShownFrame]) -> Iterator[ShownFrame]:
        """Leave out frames stamped as the one before: they cannot both be shown."""
        for frame in frames:
            if not self.times or frame.time > self.times[-1]:
                yield frame

    def _frames(self) -> Iterable[ShownFrame]:
        """Return the frames that are given."""
        frames = self._reader.frames()
        if self._fps is None:
            return self._distinct(frames)
        count = self._limit or MOST_INSTANTS
        instants = (index / self._fps for index in range(count))
        return (frame for frame, _ in nearest_frames(frames, instants))
