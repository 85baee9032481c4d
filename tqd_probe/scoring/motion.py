"""Measure the motion of a clip: amount, smoothness, duplicate frames.

Frames are reduced to luma with a short side of 96 pixels (area resize) and slightly
blurred. This averages out noise and codec artefacts, which optical flow takes for
motion. Flow between consecutive frames is OpenCV's dense inverse search (Kroeger et
al., ECCV 2016; preset medium). Farneback's flow, the usual choice, underestimates large
shifts.
"""

from __future__ import annotations

import cv2
import numpy as np

SHORT_SIDE = 96  # pixels at which flow is computed
BLUR = 1.0  # pixels, standard deviation
FASTEST = 0.05  # share of pixels whose mean flow is the amount (VBench's rule)
STILL = 0.25  # levels of 255: a mean change below this is no change
DUPLICATE = 0.12  # of the clip's typical large change: below it a frame is a repeat
FLOW_FLOOR = 0.05  # pixels; below it the flow's direction is noise


class MotionMeter:
    """Measures motion frame by frame; keeps the last two frames.

    Attributes:
        changes: Mean absolute change of luma per pair of frames, levels of 255.
        fast: Mean flow of the fastest pixels per pair, in shorter sides.
        turning: Difference of velocity between two consecutive pairs, relative to
            their sum, per triple of frames, 0 to 1.
    """

    def __init__(self, flow: bool = True) -> None:
        """Start without frames.

        Args:
            flow: Measure flow; without it only changes of luma are kept.
        """
        self.changes: list[float] = []
        self.fast: list[float] = []
        self.turning: list[float] = []
        preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._engine = cv2.DISOpticalFlow.create(preset) if flow else None
        self._last: np.ndarray | None = None
        self._flow: np.ndarray | None = None
        self._time = self._interval = self._seconds = 0.0

    def add(self, luma: np.ndarray, time: float) -> None:
        """Take the next frame.

        Args:
            luma: uint8 ``[height, width]``, at any size, the same for all frames.
            time: When it is shown, in seconds; it rises from frame to frame.
        """
        small = cv2.GaussianBlur(shrink(luma, SHORT_SIDE), (0, 0), BLUR)
        last, self._last = self._last, small
        interval, self._time = time - self._time, time
        if last is None:
            return
        self._seconds += interval
        self.changes.append(float(cv2.absdiff(small, last).mean()))
        if self._engine is None:
            return
        flow = self._engine.calc(last, small, None)  # type: ignore[call-overload]
        size = np.hypot(flow[..., 0], flow[..., 1])
        top = max(1, round(FASTEST * size.size))
        fastest = np.partition(size.ravel(), size.size - top)[-top:]
        self.fast.append(float(fastest.mean()) / min(small.shape))
        if self._flow is not None:
            # Both as over the mean of the two intervals, which may differ.
            mean = (interval + self._interval) / 2
            now, then = mean / interval, mean / self._interval
            turn = flow * now - self._flow * then
            before = np.hypot(self._flow[..., 0], self._flow[..., 1])
            weight = size * now + before * then
            # Weighted by the motion: a still background does not count.
            shared = np.hypot(turn[..., 0], turn[..., 1]) * weight
            scale = (weight + FLOW_FLOOR) * weight
            self.turning.append(float(shared.sum() / max(scale.sum(), 1e-9)))
        self._flow, self._interval = flow, interval

    def add_image(self, image: np.ndarray, time: float) -> None:
        """Take the next frame in colour.

        Args:
            image: RGB, uint8 ``[height, width, 3]``.
            time: When it is shown, in seconds.
        """
        self.add(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), time)

    def components(self) -> dict[str, float]:
        """Return the components.

        Returns:
            ``flow``: mean over time of the fastest pixels' flow, in shorter sides per
            second; ``turning``: mean relative change of flow from pair to pair, 0
            (uniform) to 1 (random); ``duplicates``: share of frames that repeat the
            previous one.
        """
        changes = np.array(self.changes)
        typical = float(np.quantile(changes, 0.9))
        repeats = changes < max(STILL, DUPLICATE * typical)
        return {
            "flow": float(np.sum(self.fast)) / self._seconds,
            "turning": float(np.mean(self.turning)) if self.turning else 0.0,
            "duplicates": float(repeats.mean()),
        }


def shrink(image: np.ndarray, short_side: int) -> np.ndarray:
    """Shrink an image by area; never enlarge it.

    Args:
        image: ``[height, width]`` or ``[height, width, channels]``.
        short_side: Wanted shorter side in pixels.

    Returns:
        The image at that size, or as given when it is smaller.
    """
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
