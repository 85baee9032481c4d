"""The `Clip` protocol: an id, a caption, and pixels at any shape."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tqd_probe.clips.shape import ClipShape


class Clip(Protocol):
    """A video with its caption, read at the shape a model wants."""

    @property
    def id(self) -> str:
        """Unique within the source of clips."""

    @property
    def caption(self) -> str:
        """What the clip shows, in words."""

    def identity(self) -> str:
        """Return a key of the pixels, for caches and fingerprints.

        Returns:
            A string that is equal for two clips only when their pixels are.
        """

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        """Return the clip at a given shape.

        Args:
            shape: Frames, pixels and rate of the result.
            slow: Slow-motion factor; 2 asks for instants half as far apart.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.
        """
