"""Weight-free proxies of motion and visual quality.

    motion = amount x smoothness x (1 - duplicates)
    visual = sharpness x cleanness x evenness x contrast

Each factor is a fixed function of one measured component and lies in [0, 1], and so do
both products. No single component is enough: the amount of motion rewards shuffled and
shaken clips, smoothness rewards still ones, sharpness rewards noise
(`analyses/scoring/proxies.py` measures what the proxies do and where they fail). They
measure pixels, not content: they cannot see a hand with six fingers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from tqd_probe.core.errors import BadClip
from tqd_probe.scoring.motion import MotionMeter
from tqd_probe.scoring.visual import frame_components

MIN_FRAMES = 4  # a change of motion needs three, a mean of it more
MIN_SIDE = 16  # pixels
VISUAL_FRAMES = 9  # frames judged for visual quality, evenly spaced
DECIMALS = 4


@dataclass(frozen=True)
class Constants:
    """Component values at which each factor is one half, and slopes.

    Chosen by `analyses/scoring/proxies.py` on real clips.

    Attributes:
        flow: Amount of motion, shorter sides per second.
        turning: Relative change of flow between pairs of frames.
        steepness: Exponent of smoothness.
        detail: Octaves of detail.
        width: Octaves over which sharpness rises.
        noise: Standard deviation of noise, levels of 255.
        blocks: Excess of steps on the codec's grid.
        contrast: Standard deviation of luma, levels of 255.
    """

    flow: float = 0.4
    turning: float = 0.6
    steepness: float = 6.0
    detail: float = -3.0
    width: float = 2.0
    noise: float = 8.0
    blocks: float = 1.0
    contrast: float = 5.0


CONSTANTS = Constants()


class QualityMeter:
    """Measures a clip frame by frame; keeps the last two frames."""

    def __init__(self, frames: int) -> None:
        """Start a clip.

        Args:
            frames: About how many frames will come: visual quality is judged on
                `VISUAL_FRAMES` of them, evenly spaced. See `estimate_holds`.
        """
        self._step = _visual_step(frames)
        self._motion = MotionMeter()
        self._visual: list[dict[str, float]] = []
        self._count = 0

    @property
    def count(self) -> int:
        """Frames taken so far."""
        return self._count

    @property
    def estimate_holds(self) -> bool:
        """Whether another number of frames, that taken, would give the same result."""
        return self._step == _visual_step(self._count)

    def add(self, image: np.ndarray, time: float) -> None:
        """Take the next frame.

        Args:
            image: RGB, uint8 ``[height, width, 3]``.
            time: When it is shown, in seconds; it rises from frame to frame.

        Raises:
            BadClip: If it is too small for optical flow.
        """
        height, width = image.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise BadClip(
                f"size: {height} x {width} pixels, {MIN_SIDE} needed along each side to"
                " judge a clip; give a larger video"
            )
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        self._motion.add(luma, time)
        if self._count % self._step == 0:
            self._visual.append(frame_components(luma))
        self._count += 1

    @property
    def changes(self) -> list[float]:
        """Mean absolute change of luma per pair of frames, levels of 255."""
        return self._motion.changes

    def components(self) -> dict[str, float]:
        """Return all components.

        Returns:
            ``flow``, ``turning``, ``duplicates`` (see `MotionMeter`) and the means over
            frames of ``detail``, ``noise``, ``blocks``, ``contrast`` (see
            `frame_components`).

        Raises:
            BadClip: If there were fewer than `MIN_FRAMES` frames.
        """
        if self._count < MIN_FRAMES:
            raise BadClip(
                f"frames: {self._count} at the rate of scoring, {MIN_FRAMES} needed to"
                " judge motion; give a longer clip or a higher --fps"
            )
        found = self._motion.components()
        for name in self._visual[0]:
            found[name] = float(np.mean([frame[name] for frame in self._visual]))
        return {name: round(value, 6) for name, value in found.items()}


def _visual_step(frames: int) -> int:
    """Return every how many frames one is judged for visual quality."""
    return max(1, math.ceil(frames / VISUAL_FRAMES))


def measure(frames: Iterable[np.ndarray], count: int, fps: float) -> dict[str, float]:
    """Measure a clip.

    Args:
        frames: RGB frames, uint8 ``[height, width, 3]``.
        count: How many there are.
        fps: Their rate per second.

    Returns:
        The components by name.

    Raises:
        BadClip: If there are too few frames.
    """
    meter = QualityMeter(count)
    for index, frame in enumerate(frames):
        meter.add(frame, index / fps)
    return meter.components()


def motion_proxy(parts: dict[str, float], at: Constants = CONSTANTS) -> float:
    """Return the motion proxy: amount x smoothness x (1 - duplicates).

    Args:
        parts: Components as `measure` gives them.
        at: The constants.

    Returns:
        A number in [0, 1].
    """
    amount = parts["flow"] / (parts["flow"] + at.flow)
    smoothness = 1 / (1 + (parts["turning"] / at.turning) ** at.steepness)
    return round(amount * smoothness * (1 - parts["duplicates"]), DECIMALS)


def visual_proxy(parts: dict[str, float], at: Constants = CONSTANTS) -> float:
    """Return the visual proxy: sharpness x cleanness x evenness x contrast.

    Args:
        parts: Components as `measure` gives them.
        at: The constants.

    Returns:
        A number in [0, 1].
    """
    sharpness = 1 / (1 + math.exp((at.detail - parts["detail"]) / at.width))
    cleanness = 1 / (1 + parts["noise"] / at.noise)
    evenness = 1 / (1 + parts["blocks"] / at.blocks)
    contrast = parts["contrast"] / (parts["contrast"] + at.contrast)
    return round(sharpness * cleanness * evenness * contrast, DECIMALS)


def describe() -> dict[str, Any]:
    """Return everything a score depends on, for fingerprints and results.

    Returns:
        The version of the components and all constants.
    """
    return {"proxies": 2, "visual_frames": VISUAL_FRAMES, **asdict(CONSTANTS)}
