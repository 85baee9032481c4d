"""Video files as clips: read at the shape a model wants, and written.

`tqd_probe.clips.frame_selection` chooses frames and pixels; `tqd_probe.clips.decode`
decodes, called by `tqd_probe.clips.decoding_process`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from tqd_probe.clips import h264
from tqd_probe.clips.decoding_process import read_frames
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video_reader import LOOKS_INTERLACED, cannot_decode
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.files import digest, file_digest, staged

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".m4v",
    ".gif",
    ".ts",
    ".mts",
    ".m2ts",
    ".mpg",
    ".mpeg",
    ".3gp",
    ".flv",
    ".ogv",
    ".wmv",
)
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Increase when the same file gives other pixels: caches and runs tell them apart.
READING = 2
NEAR_LOSSLESS = 4  # constant rate factor of x264
EVEN = 1e-5  # seconds: times closer to a grid are on it


@dataclass
class VideoClip:
    """A video file.

    Attributes:
        id: Unique within the source of clips.
        caption: What the clip shows, in words.
        path: The file.
    """

    id: str
    caption: str
    path: Path
    _digest: str | None = field(default=None, init=False, repr=False, compare=False)

    def identity(self) -> str:
        """Return a key of the pixels: a digest of the file and of how it is read.

        Returns:
            64 hexadecimal digits; the file is read once per object.

        Raises:
            BadClip: If the file is missing or cannot be read.
        """
        if self._digest is None:
            try:
                self._digest = digest([file_digest(self.path), READING])
            except OSError as error:
                raise BadClip(cannot_decode(self.path, error)) from error
        return self._digest

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        """Decode the clip, in a process of its own: a decoder that crashes ends no run.

        Args:
            shape: Frames, pixels and rate of the result.
            slow: Slow-motion factor; 2 asks for instants half as far apart.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.

        Raises:
            BadClip: If the file is missing, not a video, damaged or too short, or
                crashes its decoder; its subclass ClipTooSmall if it has fewer pixels
                than the result.
        """
        video, interlaced = read_frames(self.path, shape, slow)
        if interlaced:
            _warn_once(f"{self.path}: {LOOKS_INTERLACED}")
        return video


@cache
def _warn_once(text: str) -> None:
    """Warn of a file, once in a process: it is read for each of its degradations."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def list_videos(folder: Path) -> list[Path]:
    """List the videos of a folder.

    Args:
        folder: The folder; its subfolders are not searched.

    Returns:
        Files with a suffix of `VIDEO_SUFFIXES`, hidden ones left out, sorted by path;
        maybe none.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
    )


def write_video(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write a near-lossless H.264 video, atomically.

    Args:
        path: Where to write; its suffix (.mp4, .m4v, .mov, .mkv) decides the format.
        frames: RGB video, uint8 ``[frames, height, width, 3]``, even sizes.
        fps: Rate in frames per second.

    Raises:
        InputError: If the suffix is unknown or the array is no video.
    """
    _write(path, frames, fps)


def write_timed_video(path: Path, frames: np.ndarray, times: Sequence[float]) -> None:
    """Write a video whose frames are shown at given times.

    Args:
        path: Where to write, as for `write_video`.
        frames: RGB video, uint8 ``[frames, height, width, 3]``, two or more.
        times: When each is shown, in seconds, rising ``[frames]``. Evenly spaced ones
            give a constant rate.

    Raises:
        InputError: If the suffix is unknown or the array is no video.
    """
    begin = times[0]
    fps = (len(times) - 1) / (times[-1] - begin)
    even = [begin + index / fps for index in range(len(times))]
    if max(abs(a - b) for a, b in zip(times, even)) < EVEN:
        _write(path, frames, fps)
    else:
        _write(path, frames, fps, [time - begin for time in times])


def _write(
    path: Path, frames: np.ndarray, fps: float, times: Sequence[float] | None = None
) -> None:
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise InputError(
            f"{path}: suffix {path.suffix!r} is not known; use one of"
            f" {', '.join(CONTAINERS)}"
        )
    with staged(path) as part:
        h264.encode(f"file:{part}", frames, fps, NEAR_LOSSLESS, container, times)
