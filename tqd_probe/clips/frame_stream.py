"""Frames of a video file one by one, every k-th, as the file has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tqd_probe.clips.frame_selection import stride
from tqd_probe.clips.video import unreadable, upright
from tqd_probe.core.errors import BadClip


class FrameStream:
    """An open video file; use it in a ``with`` block.

    Attributes:
        path: The file.
        step: Every how many frames one is given.
        fps: Rate of the frames given, per second.
        expected: Frames that will be given as far as the file says; the limit where it
            says nothing.
    """

    def __init__(self, path: Path, fps: float | None = None, limit: int | None = None):
        """Open a file.

        Args:
            path: The file.
            fps: Wanted rate; frames are given at the stride that the framing rule
                chooses for it. None gives every frame.
            limit: Frames to give at most; None for all.

        Raises:
            BadClip: If the file is missing, not a video, or states no rate.
        """
        self.path = path
        self._limit = limit
        try:
            self._container = av.open(f"file:{path}")
        except (av.FFmpegError, OSError) as error:
            raise BadClip(unreadable(path, error)) from error
        try:
            if not self._container.streams.video:
                raise BadClip(
                    f"{path}: video: the file has no video stream; replace the file or"
                    " leave it out"
                )
            self._stream = self._container.streams.video[0]
            self._stream.codec_context.thread_count = 1
            rate = self._stream.average_rate or self._stream.guessed_rate
            if not rate:
                raise BadClip(
                    f"{path}: frame rate: the file states none; re-encode it at a"
                    " constant rate"
                )
        except BaseException:
            self._container.close()
            raise
        self.step = stride(float(rate), fps) if fps else 1
        self.fps = float(rate) / self.step
        stated = -(-self._stream.frames // self.step) or limit or 0
        self.expected = min(stated, limit) if limit else stated

    def __enter__(self) -> FrameStream:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._container.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield RGB frames, uint8 ``[height, width, 3]``, the right way up.

        Raises:
            BadClip: If a frame is damaged, or frames the file states are missing.
        """
        reformatter = VideoReformatter()  # shared: a new one per frame is 10x slower
        given = present = 0
        try:
            for frame in self._container.decode(self._stream):
                if frame.is_corrupt:
                    raise BadClip(
                        f"{self.path}: video: frame {present} is damaged; replace the"
                        " file"
                    )
                if present % self.step == 0:
                    image = reformatter.reformat(frame, format="rgb24").to_ndarray()
                    yield upright(image, frame.rotation)
                    given += 1
                    if given == self._limit:
                        return
                present += 1
        except (av.FFmpegError, OSError) as error:
            raise BadClip(unreadable(self.path, error)) from error
        if self._stream.frames > present:
            raise BadClip(
                f"{self.path}: video: {present} of {self._stream.frames} frames can be"
                " decoded; replace the damaged file"
            )
