"""Measure a frame: sharpness, noise, codec blocks, contrast.

Each component alone misleads: noise raises every sharpness measure based on differences
(such as the variance of the Laplacian), and blur removes noise. They are combined in
`tqd_probe.scoring.proxies`.
"""

from __future__ import annotations

import cv2
import numpy as np

from tqd_probe.scoring.motion import shrink

SHORT_SIDE = 512  # pixels at most: about the size a model is trained at
NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # Immerkaer
NOISE_BLOCK = 8  # pixels
FLATTEST = 0.2  # quantile of blocks by residual: texture is not noise
LOW_QUANTILE = 0.86  # that quantile of pure noise, in deviations of the noise
CODEC_GRID = 8  # pixels
FINE, COARSE = 0.8, 12.8  # pixels: deviations that bound the bands of detail
ROUNDING = 1 / 12  # energy of rounding to whole levels


def frame_components(luma: np.ndarray) -> dict[str, float]:
    """Measure one frame.

    Args:
        luma: uint8 ``[height, width]`` at the size of the file.

    Returns:
        ``detail``: log2 of the energy of the finest octave over that of coarser ones,
        noise subtracted; ``noise``: standard deviation of noise, levels of 255;
        ``blocks``: ratio of luma steps across the 8-pixel grid to other steps, minus 1,
        at least 0; ``contrast``: standard deviation of luma, levels of 255.
    """
    small = shrink(luma, SHORT_SIDE).astype(np.float32)
    noise = _noise(small)
    return {
        "detail": _detail(small, noise),
        "noise": noise,
        "blocks": _blocks(luma),
        "contrast": float(small.std()),
    }


def _noise(image: np.ndarray) -> float:
    """Return the deviation of noise: Immerkaer's filter (1996) on flat blocks."""
    residual = cv2.filter2D(image, -1, NOISE_MASK)[1:-1, 1:-1] / 6
    size = NOISE_BLOCK
    rows, columns = residual.shape[0] // size, residual.shape[1] // size
    if not rows or not columns:
        return float(residual.std())
    blocks = residual[: rows * size, : columns * size].reshape(
        rows, size, columns, size
    )
    flattest = np.quantile(np.sqrt((blocks**2).mean((1, 3))), FLATTEST)
    return float(flattest) / LOW_QUANTILE


def _detail(image: np.ndarray, noise: float) -> float:
    """Return log2 of the finest octave's energy over that of the coarser ones.

    Unlike the energy, the ratio does not depend on contrast. A ratio to the next octave
    alone would rise again under heavy blur, which removes that octave too.
    """
    fine_blur, coarse_blur = (
        cv2.GaussianBlur(image, (0, 0), deviation) for deviation in (FINE, COARSE)
    )
    fine = float(((image - fine_blur) ** 2).mean()) - FINE_NOISE * noise**2
    coarse = float(((fine_blur - coarse_blur) ** 2).mean())
    return float(np.log2((max(fine, 0.0) + ROUNDING) / (coarse + ROUNDING)))


def _fine_noise() -> float:
    """Return the share of white noise's energy in the finest band of `_detail`."""
    impulse = np.zeros((33, 33), np.float32)
    impulse[16, 16] = 1
    return float(((impulse - cv2.GaussianBlur(impulse, (0, 0), FINE)) ** 2).sum())


FINE_NOISE = _fine_noise()


def _blocks(luma: np.ndarray) -> float:
    """Return the excess of luma steps at the grid of 8 x 8 blocks, stronger axis."""
    image = luma.astype(np.float32)
    found = [0.0]
    for steps in (np.abs(np.diff(image, axis=1)), np.abs(np.diff(image, axis=0)).T):
        if steps.shape[1] < 2 * CODEC_GRID:
            continue
        profile = steps.mean(0)
        at_grid = profile[CODEC_GRID - 1 :: CODEC_GRID].mean()
        inside = np.delete(profile, np.s_[CODEC_GRID - 1 :: CODEC_GRID]).mean()
        found.append(float((at_grid + 0.1) / (inside + 0.1)) - 1)
    return max(found)
