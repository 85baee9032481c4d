"""Visual degradations: frames lose quality, motion stays.

Lengths are shares of the frame's shorter side, so that 64 and 480 pixels agree.
"""

from __future__ import annotations

import io
import math

import cv2
import numpy as np
from scipy.special import ive

from tqd_probe.clips import h264


def blur(video: np.ndarray, share: float) -> np.ndarray:
    """Blur every frame with a Gaussian; borders are reflected.

    The kernel is the discrete Gaussian of Lindeberg (1990), whose standard deviation
    is the stated one also below a pixel, where a sampled Gaussian is a third too
    narrow.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        share: Standard deviation in shorter sides.

    Returns:
        uint8, same shape.
    """
    sigma = share * min(video.shape[1:3])
    radius = math.ceil(5 * sigma) + 1
    kernel = ive(np.abs(np.arange(-radius, radius + 1)), sigma**2)
    kernel /= kernel.sum()  # the tails beyond the radius are cut off
    border = cv2.BORDER_REFLECT
    out = []
    for frame in video:
        blurred = cv2.sepFilter2D(frame, cv2.CV_32F, kernel, kernel, borderType=border)
        out.append(_bytes(blurred))
    return np.stack(out)


def noise(video: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise, independent for every pixel, colour and frame.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        sigma: Standard deviation in levels of 255.
        rng: Source of the noise.

    Returns:
        uint8, same shape; levels are clipped to 0..255.
    """
    out = []
    for frame in video:
        out.append(_bytes(frame + sigma * rng.standard_normal(frame.shape, np.float32)))
    return np.stack(out)


def compress(video: np.ndarray, crf: float, fps: float) -> np.ndarray:
    """Encode with x264 and decode.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        crf: Constant rate factor of x264, 0 to 51.
        fps: Rate in frames per second; the encoder spends bits by time.

    Returns:
        uint8, same shape.
    """
    height, width = video.shape[1:3]
    even = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    with io.BytesIO() as buffer:
        h264.encode(buffer, even, fps, crf, "mp4")
        buffer.seek(0)
        return np.ascontiguousarray(h264.decode(buffer)[:, :height, :width])


def downscale(video: np.ndarray, factor: float) -> np.ndarray:
    """Shrink every frame by area, then enlarge it again bicubically.

    Args:
        video: RGB, uint8 ``[frames, height, width, 3]``.
        factor: How many pixels become one, along each side.

    Returns:
        uint8, same shape.
    """
    height, width = video.shape[1:3]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    out = []
    for frame in video:
        less = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        out.append(cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.stack(out)


def _bytes(frame: np.ndarray) -> np.ndarray:
    """Return uint8, rounded and clipped to 0..255."""
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)
