"""Decode a video file, frame by frame, with PyAV.

Which frames are kept is decided in `tqd_probe.clips.frame_selection`. FFmpeg's own log
stays off (PyAV's default): every fault is reported once, as an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tqd_probe.core.errors import BadClip


class VideoReader:
    """An open video file; use it in a ``with`` block.

    Attributes:
        path: The file.
        fps: Frames per second of the file.
        stated_frames: Number of frames the file states; 0 where it states none.
        decoded: Number of frames decoded so far.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Args:
            path: The file.

        Raises:
            BadClip: If the file is missing, not a video, or states no frame rate.
        """
        self.path = path
        self.decoded = 0
        try:
            # "file:" so that no name is ever taken for a network address.
            self._container = av.open(f"file:{path}")
        except (av.FFmpegError, OSError) as error:
            raise BadClip(cannot_decode(path, error)) from error
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
        self.fps = float(rate)
        self.stated_frames = self._stream.frames

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, wanted: Callable[[int], bool]) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the frames in order, from the first.

        Args:
            wanted: Whether a frame, by its number from 0, is kept; the others are
                decoded but not converted to RGB.

        Yields:
            Number and image of each wanted frame: RGB, uint8 ``[height, width, 3]``,
            rotated as the file says it is shown.

        Raises:
            BadClip: If a frame is damaged or the file cannot be decoded further.
        """
        reformatter = VideoReformatter()  # shared: a new one per frame is 10x slower
        self.decoded = 0
        try:
            for frame in self._container.decode(self._stream):
                number = self.decoded
                if frame.is_corrupt:
                    raise BadClip(
                        f"{self.path}: video: frame {number} is damaged; replace the"
                        " file"
                    )
                self.decoded += 1
                if wanted(number):
                    image = reformatter.reformat(frame, format="rgb24").to_ndarray()
                    yield number, rotate(image, frame.rotation)
        except (av.FFmpegError, OSError) as error:
            raise BadClip(cannot_decode(self.path, error)) from error


def cannot_decode(path: Path, error: Exception) -> str:
    """Write the message about a file that FFmpeg or the disk cannot read.

    Args:
        path: The file.
        error: What FFmpeg or the disk raised.

    Returns:
        One line.
    """
    if not path.is_file():
        return f"{path}: video: no such file; correct the path or leave it out"
    reason = getattr(error, "strerror", None) or type(error).__name__
    return (
        f"{path}: video: cannot be decoded ({reason}); the file is not a video, damaged"
        " or cut short: replace it"
    )


def rotate(image: np.ndarray, degrees: int) -> np.ndarray:
    """Rotate a frame counter-clockwise.

    Args:
        image: ``[height, width, 3]``.
        degrees: A multiple of 90, from the file's display matrix.

    Returns:
        The frame, contiguous.
    """
    turns = round(degrees / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
