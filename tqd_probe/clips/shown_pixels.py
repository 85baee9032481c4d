"""The pixels of a decoded frame as the file says they are shown.

Honoured: colour matrix and range, PQ and HLG, the shape of pixels (sample aspect
ratio), and turns and flips (display matrix). What is stated and cannot be honoured is
refused by name. What is not stated: matrix of BT.601, limited range, square pixels.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import VideoReformatter

from tqd_probe.clips.high_dynamic_range import (
    BT2020,
    LUMA,
    RGB_MATRIX,
    TRANSFERS,
    rgb_codes,
    to_standard_range,
)
from tqd_probe.core.errors import BadClip

UNSPECIFIED = 2
FULL_RANGE = 2  # FFmpeg's number
# Code points of ITU-T H.273.
MATRICES = {0, 1, UNSPECIFIED, 4, 5, 6, 7, 9}  # the converter's; 0 is RGB
MATRIX_NAMES = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    12: "derived from primaries",
    13: "derived from primaries, constant luminance",
    14: "ICtCp",
}
# Near to BT.709's, as all ordinary displays treat them.
ORDINARY_TRANSFERS = {0, 1, UNSPECIFIED, 4, 5, 6, 7, 11, 12, 13, 14, 15}
TRANSFER_NAMES = {8: "linear", 9: "logarithmic", 10: "logarithmic", 17: "SMPTE ST 428"}
SQUARE = Fraction(1, 100)  # pixels closer to square than this are square
ONE = 1 << 16  # in a display matrix
# Counter-clockwise, by quarters.
TURNS = (None, (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
SLANT = 0.01  # tangent of an angle that is none


class ShownPixels:
    """Turns decoded frames of one file into RGB pictures."""

    def __init__(self, path: Path, pixel_ratio: Fraction | None) -> None:
        """Start a file.

        Args:
            path: The file, for messages.
            pixel_ratio: Width of a pixel relative to its height; None or 0 where the
                file states none.
        """
        self._path = path
        self._ratio = pixel_ratio if pixel_ratio and pixel_ratio > 0 else Fraction(1)
        self._reformatter = VideoReformatter()  # a new one per frame is 10x slower

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as it is shown.

        Args:
            frame: The decoded frame.

        Returns:
            RGB, uint8 ``[height, width, 3]``.

        Raises:
            BadClip: If the file states colours or a turn that cannot be honoured.
        """
        turn = _turn(self._path, frame)
        image = square_pixels(self._colours(frame), self._ratio)
        return image if turn is None else turned(image, turn)

    def _colours(self, frame: av.VideoFrame) -> np.ndarray:
        """Return RGB, uint8, as an ordinary display shows it."""
        matrix, transfer = frame.colorspace, frame.color_trc
        if matrix not in MATRICES:
            raise BadClip(
                f"{self._path}: colour matrix: {MATRIX_NAMES.get(matrix, matrix)} is"
                " not supported; re-encode the file with BT.709"
            )
        if transfer in TRANSFERS:
            codes = self._wide_codes(frame, matrix)
            return to_standard_range(codes, transfer, frame.color_primaries)
        if transfer not in ORDINARY_TRANSFERS:
            raise BadClip(
                f"{self._path}: transfer function:"
                f" {TRANSFER_NAMES.get(transfer, transfer)} is not supported; re-encode"
                " the file with BT.709"
            )
        if transfer == UNSPECIFIED and _has_dolby_vision(frame):
            raise BadClip(
                f"{self._path}: transfer function: HDR in Dolby Vision without a base"
                " layer for other displays is not supported; re-encode the file"
            )
        return self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()

    def _wide_codes(self, frame: av.VideoFrame, matrix: int) -> np.ndarray:
        """Return non-linear RGB of a frame in 16 bits.

        Raises:
            BadClip: If its matrix is not known for high dynamic range.
        """
        if matrix == RGB_MATRIX:
            wide = self._reformatter.reformat(frame, format="rgb48le", threads=1)
            return wide.to_ndarray()
        matrix = BT2020 if matrix == UNSPECIFIED else matrix
        if matrix not in LUMA:
            raise BadClip(
                f"{self._path}: colour matrix: {MATRIX_NAMES.get(matrix, matrix)} is"
                " not supported in HDR; re-encode the file with BT.709"
            )
        wide = self._reformatter.reformat(frame, format="yuv444p16le", threads=1)
        return rgb_codes(wide.to_ndarray(), matrix, frame.color_range == FULL_RANGE)


def _has_dolby_vision(frame: av.VideoFrame) -> bool:
    """Return whether a frame has instructions for a Dolby Vision display."""
    try:
        return frame.side_data.get("DOVI_METADATA") is not None
    except ValueError:  # as in `_turn`
        return False


def square_pixels(image: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Shrink the longer side of pixels until they are square; nothing is enlarged.

    Args:
        image: ``[height, width, 3]``.
        ratio: Width of a pixel relative to its height.

    Returns:
        The picture; as given where pixels are square within 1 %.
    """
    if abs(ratio - 1) < SQUARE:
        return image
    height, width = image.shape[:2]
    if ratio > 1:
        height = max(1, round(height / ratio))
    else:
        width = max(1, round(width * ratio))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def turned(image: np.ndarray, turn: tuple[int, int, int, int]) -> np.ndarray:
    """Turn and flip a picture.

    Args:
        image: ``[height, width, 3]``.
        turn: ``(a, b, c, d)`` of -1, 0 and 1: the pixel at ``(x, y)``, from the centre
            to the right and down, is shown at ``(a x + c y, b x + d y)``.

    Returns:
        The picture, contiguous.
    """
    a, b, c, d = turn
    if a == 0:  # rows become columns
        image = image.transpose(1, 0, 2)
        right, down = c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(image[::down, ::right])


def _turn(path: Path, frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return the turn of a frame's display matrix; None for none.

    Raises:
        BadClip: If it is none of the eight turns and flips by right angles.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18, where a frame has side data that it does not know
        return TURNS[round(frame.rotation / 90) % 4]
    if data is None:
        return None
    matrix = np.frombuffer(bytes(cast(Buffer, data)), np.int32)[:9].reshape(3, 3) / ONE
    # A magnification says how large a window is, not what it shows.
    exact = matrix[:2, :2] / max(1e-9, np.abs(matrix[:2, :2]).max())
    turn = np.rint(exact)
    right_angle = np.abs(turn).sum(0).tolist() == np.abs(turn).sum(1).tolist() == [1, 1]
    slanted = not right_angle or np.abs(exact - turn).max() > SLANT
    if slanted or np.abs(matrix[:2, 2]).max() > 0:
        degrees = np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))
        raise BadClip(
            f"{path}: display matrix: turns the picture by {degrees:.0f} degrees, and"
            " only right angles are supported; re-encode the file"
        )
    a, b, c, d = (int(value) for value in turn.ravel())
    return None if (a, b, c, d) == (1, 0, 0, 1) else (a, b, c, d)
