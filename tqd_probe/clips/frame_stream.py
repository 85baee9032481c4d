"""Frames of a video file one by one, every k-th, at the file's own size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tqd_probe.clips.frame_selection import on_stride, stride
from tqd_probe.clips.video_reader import VideoReader
from tqd_probe.core.errors import BadClip


class FrameStream:
    """A video file read at a stride; use it in a ``with`` block.

    Attributes:
        path: The file.
        step: Stride: every `step`-th frame is given.
        fps: Rate of the frames given, per second.
        expected: Number of frames that will be given, by what the file states; the
            limit where the file states nothing.
    """

    def __init__(self, path: Path, fps: float | None = None, limit: int | None = None):
        """Open a file.

        Args:
            path: The file.
            fps: Wanted rate in frames per second, met by the stride of
                `frame_selection`. None gives every frame.
            limit: Frames to give at most; None for all.

        Raises:
            BadClip: If the file is missing, not a video, or states no rate.
        """
        self.path = path
        self._limit = limit
        self._reader = VideoReader(path)
        self.step = stride(self._reader.fps, fps) if fps else 1
        self.fps = self._reader.fps / self.step
        stated = -(-self._reader.stated_frames // self.step) or limit or 0
        self.expected = min(stated, limit) if limit else stated

    def __enter__(self) -> FrameStream:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._reader.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield RGB frames, uint8 ``[height, width, 3]``, the right way up.

        Raises:
            BadClip: If a frame is damaged, or the file has fewer frames than it states.
        """
        frames = self._reader.frames(lambda number: on_stride(number, self.step))
        for given, (_, image) in enumerate(frames, 1):
            yield image
            if given == self._limit:
                return
        decoded, stated = self._reader.decoded, self._reader.stated_frames
        if stated > decoded:
            raise BadClip(
                f"{self.path}: video: {decoded} of {stated} frames can be decoded;"
                " replace the damaged file"
            )
