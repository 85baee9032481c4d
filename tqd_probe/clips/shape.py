"""The size of a clip: frames, pixels, rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClipShape:
    """Frames, height and width (pixels) and rate (frames per second) of a clip."""

    frames: int
    height: int
    width: int
    fps: float

    @property
    def short_side(self) -> int:
        """The shorter of height and width in pixels, the unit of severities."""
        return min(self.height, self.width)

    def times(self, slow: float = 1.0) -> np.ndarray:
        """Return the times of the frames in the source, in seconds.

        Args:
            slow: Slow-motion factor; 2 asks for instants half as far apart.

        Returns:
            Array ``[frames]``, starting at 0.
        """
        return np.arange(self.frames) / (self.fps * slow)

    def __str__(self) -> str:
        """Write the shape as ``17 x 64 x 64 at 16 fps``."""
        return f"{self.frames} x {self.height} x {self.width} at {self.fps:g} fps"
