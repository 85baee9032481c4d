"""Decode a video file, frame by frame, with PyAV: the one way in which video is read.

Every frame comes with its time and, when it is asked for, its pixels as they are shown.
Which frames are kept is decided in `tqd_probe.clips.frame_selection`. FFmpeg's own log
stays off (PyAV's default): every fault is reported once, as an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from tqd_probe.clips import decoder_time
from tqd_probe.clips.combing import CombDetector
from tqd_probe.clips.frame_times import FrameTimes
from tqd_probe.clips.shown_pixels import ShownPixels
from tqd_probe.clips.whole_file import missing_bytes
from tqd_probe.core.errors import BadClip

STILLS = (
    Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
)
LOOKS_INTERLACED = (
    "looks interlaced, two instants in odd and even rows, and is not marked as such; if"
    " it is, deinterlace it, as with ffmpeg -i IN -vf bwdif=mode=send_frame OUT"
)
FIELD_ORDERS = (2, 3, 4, 5)  # FFmpeg's numbers of what a container says of fields
# What FFmpeg, PyAV and NumPy raise on damaged files.
FAULTS = (av.FFmpegError, OSError, ValueError, MemoryError, ArithmeticError)


class ShownFrame:
    """A decoded frame.

    Attributes:
        time: When it is shown, in seconds from the first frame.
        duration: For how long by what the file says, in seconds; 0 where unknown.
    """

    def __init__(
        self,
        path: Path,
        frame: av.VideoFrame,
        pixels: ShownPixels,
        time: float,
        duration: float,
    ) -> None:
        """Keep a frame."""
        self.time = time
        self.duration = duration
        self._path, self._frame, self._pixels = path, frame, pixels

    def rgb(self) -> np.ndarray:
        """Return the picture.

        Returns:
            RGB, uint8 ``[height, width, 3]``, as the file says it is shown.

        Raises:
            BadClip: If it cannot be shown as the file says.
        """
        try:
            return self._pixels.rgb(self._frame)
        except FAULTS as error:
            raise BadClip(cannot_decode(self._path, error)) from error


class VideoReader:
    """An open video file; close it after use.

    Attributes:
        path: The file.
        seconds: Length that the file states, in seconds; 0 where it states none. Only
            a hint.
        rate: Frames per second that the file states; 0 where it states none. Only a
            hint.
        end: When the last frame decoded so far ends, in seconds from the first.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Args:
            path: The file.

        Raises:
            BadClip: If the file is missing or not a video.
        """
        self.path = path
        self.end = 0.0
        self._combs, self._grey = CombDetector(), VideoReformatter()
        decoder_time.start_frame()
        try:
            # "file:" so that no name is ever taken for a network address.
            self._container = av.open(f"file:{path}", metadata_errors="replace")
        except FAULTS as error:
            raise BadClip(cannot_decode(path, error)) from error
        try:
            self._stream = _pictures(path, self._container)
            self._stream.codec_context.thread_count = 1
            order = getattr(self._stream.codec_context, "field_order", 0)  # since 18
            self._fields = order in FIELD_ORDERS
            rate = self._stream.average_rate or self._stream.guessed_rate
            self.rate = float(rate or 0)
            self.seconds = _stated_seconds(self._container, self._stream)
        except BaseException:
            self._container.close()
            raise

    @property
    def looks_interlaced(self) -> bool:
        """Whether the frames decoded so far look interlaced; the file does not say so.

        See `tqd_probe.clips.combing`.
        """
        return self._combs.interlaced

    def close(self) -> None:
        """Close the file."""
        decoder_time.stop()
        self._container.close()

    def frames(self) -> Iterator[ShownFrame]:
        """Decode the frames that are shown, in order, from the first.

        Yields:
            The frames.

        Raises:
            BadClip: If a frame is damaged, interlaced, of another size or without a
                usable time, or the file cannot be decoded further or is cut short.
        """
        times = FrameTimes(self.path, self._stream, self._container.format.name)
        pixels = ShownPixels(self.path, self._stream.sample_aspect_ratio)
        number = -1
        try:
            for number, frame in enumerate(self._decoded()):
                time, duration = times.of(frame, number)
                self.end = float(time + duration)
                yield ShownFrame(self.path, frame, pixels, float(time), float(duration))
            missing = missing_bytes(self.path)
        except FAULTS as error:
            raise BadClip(cannot_decode(self.path, error)) from error
        if missing:
            raise BadClip(
                f"{self.path}: video: cut short: {missing} bytes are missing after"
                f" {number + 1} frames; replace the damaged file"
            )

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode; refuse damaged and interlaced frames, and changes of size."""
        size = None
        for number, frame in enumerate(self._container.decode(self._stream)):
            decoder_time.start_frame()
            if frame.is_corrupt:
                raise BadClip(
                    f"{self.path}: video: frame {number} is damaged; replace the file"
                )
            if frame.interlaced_frame or self._fields:
                raise BadClip(
                    f"{self.path}: video: frame {number} is interlaced, two instants in"
                    " odd and even rows; deinterlace the file, as with ffmpeg -i IN -vf"
                    " bwdif=mode=send_frame OUT"
                )
            size = size or (frame.height, frame.width)
            if (frame.height, frame.width) != size:
                raise BadClip(
                    f"{self.path}: size: changes from {size[0]} x {size[1]} to"
                    f" {frame.height} x {frame.width} pixels at frame {number};"
                    " re-encode the file at one size"
                )
            self._look_for_combs(frame)
            yield frame

    def _look_for_combs(self, frame: av.VideoFrame) -> None:
        """Give a frame's rows to the detector of unmarked interlacing."""
        if not self._combs.wants:
            self._combs.skip()
            return
        try:
            grey = self._grey.reformat(frame, format="gray", threads=1)
            self._combs.add(grey.to_ndarray())
        except FAULTS:  # its pixels are judged, and the fault named, when it is shown
            self._combs.skip()


def _pictures(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Return the stream of moving pictures: the default one, else the first.

    Raises:
        BadClip: If there is none.
    """
    if container.format.name.endswith("_pipe") or container.format.name == "image2":
        raise BadClip(
            f"{path}: video: the file is a picture"
            f" ({container.format.name.removesuffix('_pipe')}); leave it out"
        )
    videos = container.streams.video
    moving = [each for each in videos if not each.disposition & STILLS]
    if not moving:
        raise BadClip(
            f"{path}: video: the file has no video stream"
            f"{' but a cover picture' if videos else ''}; replace the file or leave it"
            " out"
        )
    moving.sort(key=lambda each: not each.disposition & Disposition.default)
    if moving[0].codec_context is None:
        raise BadClip(
            f"{path}: video: its codec is unknown to FFmpeg; re-encode the file"
        )
    return moving[0]


def _stated_seconds(
    container: av.container.InputContainer, stream: av.VideoStream
) -> float:
    """Return the length a file states, in seconds; 0 for none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


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
