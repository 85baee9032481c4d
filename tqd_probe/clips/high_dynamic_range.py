"""High dynamic range video (PQ, HLG) as a viewer with an ordinary display sees it.

Light is computed from code values by SMPTE ST 2084 (PQ) or Recommendation ITU-R BT.2100
(HLG, on its nominal display of 1,000 cd/m2). Diffuse white, 203 cd/m2 by Report ITU-R
BT.2408, becomes white, 255; brighter highlights clip there. Primaries are converted to
those of BT.709, and the result is encoded as sRGB (IEC 61966-2-1).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
TRANSFERS = {PQ: "PQ", HLG: "HLG"}
DIFFUSE_WHITE = 203.0  # cd/m2, BT.2408
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2  # nominal display of BT.2100
BT2020, P3 = 9, 12  # colour primaries of H.273
TO_BT709 = {
    # Linear RGB to linear RGB: Report ITU-R BT.2407, and P3 with the same white.
    BT2020: np.array(
        [
            [1.660491, -0.587641, -0.072850],
            [-0.124550, 1.132900, -0.008349],
            [-0.018151, -0.100579, 1.118730],
        ]
    ),
    P3: np.array(
        [
            [1.224940, -0.224940, 0.0],
            [-0.042057, 1.042057, 0.0],
            [-0.019638, -0.078636, 1.098274],
        ]
    ),
}
# Weights of red and blue in luma, by matrix coefficients of H.273.
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
RGB_MATRIX = 0
BT2020_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)


def pq_to_light(code: np.ndarray) -> np.ndarray:
    """Return luminance by the PQ curve.

    Args:
        code: Non-linear values, 0 to 1.

    Returns:
        cd/m2, 0 to 10,000.
    """
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.power(code, 1 / m2)
    return 10000 * np.power(np.maximum(root - c1, 0) / (c2 - c3 * root), 1 / m1)


def hlg_to_scene(code: np.ndarray) -> np.ndarray:
    """Return scene light by the inverse HLG curve.

    Args:
        code: Non-linear values, 0 to 1.

    Returns:
        Linear light of the scene, 0 to 1.
    """
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def srgb_code(light: np.ndarray) -> np.ndarray:
    """Return sRGB code values.

    Args:
        light: Linear light, 0 to 1.

    Returns:
        0 to 1.
    """
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )


def rgb_codes(image: np.ndarray, matrix: int, full_range: bool) -> np.ndarray:
    """Return non-linear RGB; FFmpeg's converter gives it 0.4 % too dark at 16 bits.

    Args:
        image: Luma and two differences of colour, uint16 ``[height, width, 3]``, codes
            of 8 bits times 256.
        matrix: Matrix coefficients of H.273, one of `LUMA`.
        full_range: Whether black and white are the ends of the scale.

    Returns:
        uint16 ``[height, width, 3]``, full range.
    """
    red, blue = LUMA[matrix]
    green = 1 - red - blue
    to_rgb = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    if full_range:
        scale, zero = np.array([65535.0] * 3), np.array([0.0, 32768, 32768])
    else:
        scale = 256 * np.array([219.0, 224, 224])
        zero = 256 * np.array([16.0, 128, 128])
    weights = 65535 * to_rgb / scale
    affine = np.hstack([weights, -(weights @ zero)[:, None]]).astype(np.float32)
    codes = cv2.transform(image.astype(np.float32), affine)
    return np.clip(codes + 0.5, 0, 65535).astype(np.uint16)


def to_standard_range(image: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Return a high dynamic range picture as an ordinary display shows it.

    Args:
        image: Non-linear RGB, uint16 ``[height, width, 3]``, full range.
        transfer: `PQ` or `HLG`.
        primaries: Colour primaries of H.273; unknown ones count as BT.709's.

    Returns:
        sRGB, uint8 ``[height, width, 3]``.
    """
    light = _linear(transfer)[image]
    if transfer == HLG:  # the display's system gamma acts on luminance (BT.2100)
        luminance = cv2.transform(light, BT2020_LUMINANCE)
        gain = np.power(np.maximum(luminance, 1e-9), HLG_GAMMA - 1)
        light *= (HLG_PEAK / DIFFUSE_WHITE) * gain[..., None]
    if primaries in TO_BT709:
        light = cv2.transform(light, TO_BT709[primaries].astype(np.float32))
    return _encoded()[(np.clip(light, 0, 1) * 65535 + 0.5).astype(np.uint16)]


@cache
def _linear(transfer: int) -> np.ndarray:
    """Return light for every 16-bit code; diffuse white is 1 for PQ."""
    code = np.arange(65536) / 65535
    light = pq_to_light(code) / DIFFUSE_WHITE if transfer == PQ else hlg_to_scene(code)
    return light.astype(np.float32)


@cache
def _encoded() -> np.ndarray:
    """Return the 8-bit sRGB code of every 16-bit step of light."""
    return np.round(255 * srgb_code(np.arange(65536) / 65535)).astype(np.uint8)
