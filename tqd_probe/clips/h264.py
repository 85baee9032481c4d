"""Encode and decode H.264 with x264; equal input gives equal bytes.

One thread. OpenCV converts colours (BT.601, limited range), with chroma averaged over
2 x 2 pixels: FFmpeg's own converter truncates, which darkens a clip by about one level
of 255 in addition to what the codec does.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import BinaryIO

import av
import cv2
import numpy as np

from tqd_probe.core.errors import InputError

TICK = Fraction(1, 90000)  # seconds, of times that are given


def encode(
    target: str | BinaryIO,
    video: np.ndarray,
    fps: float,
    crf: float,
    container: str,
    times: Sequence[float] | None = None,
) -> None:
    """Encode a video.

    Args:
        target: Path or binary file to write to.
        video: RGB, uint8 ``[frames, height, width, 3]``; height and width even.
        fps: Rate in frames per second.
        crf: Constant rate factor of x264, 0 (lossless) to 51 (worst).
        container: FFmpeg's name of the file format, for example ``"mp4"``.
        times: When each frame is shown, in seconds from 0; None for a constant rate.

    Raises:
        InputError: If the array is not such a video.
    """
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3:
        raise InputError(
            f"video is {video.dtype} {list(video.shape)}; give uint8"
            " [frames, height, width, 3]"
        )
    frames, height, width, _ = video.shape
    if not frames or height % 2 or width % 2:
        raise InputError(
            f"video has {frames} frames of {height} x {width} pixels; H.264 with"
            " yuv420p needs at least one frame and even sizes"
        )
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"crf": f"{crf:g}"},
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = TICK
        for index, image in enumerate(video):
            frame = av.VideoFrame.from_ndarray(_to_yuv(image), format="yuv420p")
            if times is not None:
                frame.pts, frame.time_base = round(times[index] / TICK), TICK
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def decode(source: BinaryIO) -> np.ndarray:
    """Decode what `encode` wrote, with the inverse of its colour conversion.

    Args:
        source: Binary file, at its start.

    Returns:
        RGB, uint8 ``[frames, height, width, 3]``.
    """
    with av.open(source, "r") as container:
        container.streams.video[0].codec_context.thread_count = 1
        planes = [frame.to_ndarray() for frame in container.decode(video=0)]
    return np.stack([cv2.cvtColor(plane, cv2.COLOR_YUV2RGB_I420) for plane in planes])


def _to_yuv(image: np.ndarray) -> np.ndarray:
    """Return RGB ``[H, W, 3]`` as planar YUV 4:2:0, ``[1.5 H, W]``."""
    height, width = image.shape[:2]
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    # OpenCV takes chroma from one pixel in four; give it four equal ones.
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    mean = half.repeat(2, axis=0).repeat(2, axis=1)
    planes[height:] = cv2.cvtColor(mean, cv2.COLOR_RGB2YUV_I420)[height:]
    return planes
