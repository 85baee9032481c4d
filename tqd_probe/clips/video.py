"""Video files: decoded to the shape a model wants, and written.

How frames and pixels are chosen is said in `tqd_probe.clips.frame_selection`. FFmpeg's
own log stays off (PyAV's default): what goes wrong is said once, in the error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tqd_probe.clips import h264
from tqd_probe.clips.frame_selection import crop_and_resize, frame_numbers
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import BadClip, ClipTooSmall, InputError
from tqd_probe.core.files import file_digest, staged

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
NEAR_LOSSLESS = 4  # constant rate factor of x264


@dataclass
class VideoClip:
    """A video file.

    Attributes:
        id: Name of the clip, unique within its source.
        caption: What a viewer sees, in words.
        path: The file.
    """

    id: str
    caption: str
    path: Path
    _digest: str | None = field(default=None, init=False, repr=False, compare=False)

    def identity(self) -> str:
        """Return what the pixels depend on: the SHA-256 of the file's bytes.

        Returns:
            64 hexadecimal digits; the file is read once per object.

        Raises:
            BadClip: If the file is missing or cannot be read.
        """
        if self._digest is None:
            try:
                self._digest = file_digest(self.path)
            except OSError as error:
                raise BadClip(unreadable(self.path, error)) from error
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
        try:
            # "file:" so that no name is ever taken for a network address.
            with av.open(f"file:{self.path}") as container:
                return self._decode(container, shape, slow)
        except (av.FFmpegError, OSError) as error:
            raise BadClip(unreadable(self.path, error)) from error

    def _decode(
        self, container: av.container.InputContainer, shape: ClipShape, slow: float
    ) -> np.ndarray:
        """Return the frames of an open file, uint8 ``[frames, height, width, 3]``.

        Raises:
            BadClip: If they are not all there.
        """
        if not container.streams.video:
            raise BadClip(
                f"{self.path}: video: the file has no video stream; replace the file"
                " or leave it out"
            )
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise BadClip(
                f"{self.path}: frame rate: the file states none; re-encode it at a"
                " constant rate"
            )
        numbers = frame_numbers(shape, float(rate), slow)
        needed = int(numbers[-1]) + 1
        reformatter = VideoReformatter()  # shared: a new one per frame is 10x slower
        images: list[np.ndarray] = []
        present = 0
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise BadClip(
                    f"{self.path}: video: frame {present} is damaged; replace the file"
                )
            repeats = int((numbers == present).sum())
            if repeats:
                rgb = reformatter.reformat(frame, format="rgb24").to_ndarray()
                images += [self._fit(upright(rgb, frame.rotation), shape)] * repeats
            present += 1
            if present == needed:
                return np.stack(images)
        if stream.frames > present:
            raise BadClip(
                f"{self.path}: video: {present} of {stream.frames} frames can be"
                f" decoded and {needed} are needed; replace the damaged file"
            )
        raise BadClip(
            f"{self.path}: frames: {present} present, {needed} needed for"
            f" {shape.frames} frames at {shape.fps:g} fps out of {float(rate):g} fps;"
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
                f" wanted {shape.height} x {shape.width}, and enlarging would fake a"
                " blurred clip; give a larger video or lower --height/--width"
            )
        return crop_and_resize(image, shape.height, shape.width)


def unreadable(path: Path, error: Exception) -> str:
    """Write the message about a file that FFmpeg or the disk cannot read.

    Args:
        path: The file.
        error: What came of trying.

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


def upright(image: np.ndarray, rotation: int) -> np.ndarray:
    """Turn a frame the way its file says it is shown.

    Args:
        image: ``[height, width, 3]``.
        rotation: Degrees, multiples of 90.

    Returns:
        The frame, contiguous.
    """
    turns = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def write_video(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write a near-lossless H.264 video, whole.

    Args:
        path: Where to write; the suffix (.mp4, .m4v, .mov, .mkv) says the format.
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
