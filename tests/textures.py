"""Clips of moving textures whose motion and detail are known."""

import cv2
import numpy as np

from tqd_probe.core.rng import stream
from tqd_probe.scoring.proxies import measure

SIDE, FRAMES, FPS = 96, 16, 16.0


def texture(height, width, seed=0):
    """Natural-looking texture: noise whose amplitude falls with frequency, 0..255."""
    rng = stream(seed, "test-texture")
    total = np.zeros((height, width), np.float32)
    for deviation in (0.7, 2, 5, 12):
        layer = rng.standard_normal((height, width)).astype(np.float32)
        layer = cv2.GaussianBlur(layer, (0, 0), deviation)
        total += layer / layer.std() * deviation**0.5
    total = 128 + 40 * total / total.std()
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)


def pan(pixels_per_frame, frames=FRAMES):
    """A texture that moves to the left by whole pixels per frame."""
    wide = texture(SIDE, SIDE + pixels_per_frame * frames + 8)
    starts = [n * pixels_per_frame for n in range(frames)]
    return np.stack([cv2.merge([wide[:, s : s + SIDE]] * 3) for s in starts])


def parts_of(video):
    return measure(video, len(video), FPS)
