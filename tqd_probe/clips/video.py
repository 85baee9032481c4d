"""Video files as clips: read at the shape a model wants, and written.

`tqd_probe.clips.frame_selection` chooses frames and pixels;
`tqd_probe.clips.video_reader` decodes.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tqd_probe.clips import h264
from tqd_probe.clips.frame_selection import crop_and_resize, frame_numbers
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video_reader import VideoReader, cannot_decode
from tqd_probe.core.errors import BadClip, ClipTooSmall, InputError
from tqd_probe.core.files import file_digest, staged

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
NEAR_LOSSLESS = 4  # constant rate factor of x264


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
        """Return a key of the pixels: the SHA-256 of the file's bytes.

        Returns:
            64 hexadecimal digits; the file is read once per object.

        Raises:
            BadClip: If the file is missing or cannot be read.
        """
        if self._digest is None:
            try:
                self._digest = file_digest(self.path)
            except OSError as error:
                raise BadClip(cannot_decode(self.path, error)) from error
        return self._digest

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        """Decode the clip, no further than its last needed frame.

        Args:
            shape: Frames, pixels and rate of the result.
            slow: Slow-motion factor; 2 reads the file at half the stride.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.

        Raises:
            BadClip: If the file is missing, not a video, damaged or too short; its
                subclass ClipTooSmall if it has fewer pixels than the result.
        """
        with closing(VideoReader(self.path)) as video:
            numbers = frame_numbers(shape, video.fps, slow)
            last = int(numbers[-1])
            repeats = Counter(numbers.tolist())
            images: list[np.ndarray] = []
            for number, image in video.frames(repeats.__contains__):
                images += [self._fit(image, shape)] * repeats[number]
                if number == last:
                    return np.stack(images)
        raise BadClip(self._too_few_frames(video, shape, last + 1))

    def _too_few_frames(self, video: VideoReader, shape: ClipShape, needed: int) -> str:
        """Write the message about a file that ends before the last wanted frame."""
        if video.stated_frames > video.decoded:
            return (
                f"{self.path}: video: {video.decoded} of {video.stated_frames} frames"
                f" can be decoded and {needed} are needed; replace the damaged file"
            )
        return (
            f"{self.path}: frames: {video.decoded} present, {needed} needed for"
            f" {shape.frames} frames at {shape.fps:g} fps out of {video.fps:g} fps;"
            " give a longer clip or ask for fewer frames (--frames)"
        )

    def _fit(self, image: np.ndarray, shape: ClipShape) -> np.ndarray:
        """Return one frame cropped and shrunk.

        Raises:
            ClipTooSmall: If it would have to be enlarged.
        """
        height, width = image.shape[:2]
        if height < shape.height or width < shape.width:
            raise ClipTooSmall(
                f"{self.path}: size: {height} x {width} pixels is smaller than the"
                f" wanted {shape.height} x {shape.width}, and enlarging would"
                " blur the clip; give a larger video or lower --height/--width"
            )
        return crop_and_resize(image, shape.height, shape.width)


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
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise InputError(
            f"{path}: suffix {path.suffix!r} is not known; use one of"
            f" {', '.join(CONTAINERS)}"
        )
    with staged(path) as part:
        h264.encode(f"file:{part}", frames, fps, NEAR_LOSSLESS, container)
