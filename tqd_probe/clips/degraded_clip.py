"""Clips read as something leaves them: degraded, or slower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.shape import ClipShape


class AppliedToClips(Protocol):
    """What a `Degradation` does; its name is the string of it."""

    def apply(self, clip: Clip, shape: ClipShape, seed: int) -> np.ndarray:
        """Return the degraded clip, uint8 ``[frames, height, width, 3]``."""
        ...


@dataclass(frozen=True)
class DegradedClip:
    """A clip that is read as a degradation leaves it.

    A degradation that reads its source anew, slower or larger, is combined so too:
    what comes before it is done to the frames that it reads.

    Attributes:
        clip: The golden clip.
        degradation: What is done to it.
        seed: The run seed.
    """

    clip: Clip
    degradation: AppliedToClips
    seed: int

    @property
    def id(self) -> str:
        """Id of the golden clip."""
        return self.clip.id

    @property
    def caption(self) -> str:
        """Caption of the golden clip."""
        return self.clip.caption

    def identity(self) -> str:
        """Return a key of the pixels.

        Returns:
            That of the golden clip with the degradation.
        """
        return f"{self.clip.identity()} {self.degradation} {self.seed}"

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        """Return the degraded clip at a given shape.

        Args:
            shape: Frames, pixels and rate of the result.
            slow: How many times slower the golden clip is read.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.
        """
        source = self.clip if slow == 1 else SlowedClip(self.clip, slow)
        return self.degradation.apply(source, shape, self.seed)


@dataclass(frozen=True)
class SlowedClip:
    """A clip that is read slower.

    Attributes:
        clip: The clip.
        factor: How many times slower.
    """

    clip: Clip
    factor: float

    @property
    def id(self) -> str:
        """Id of the clip."""
        return self.clip.id

    @property
    def caption(self) -> str:
        """Caption of the clip."""
        return self.clip.caption

    def identity(self) -> str:
        """Return a key of the pixels.

        Returns:
            That of the clip with the factor.
        """
        return f"{self.clip.identity()} {self.factor:g} times slower"

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        """Return the clip at a given shape.

        Args:
            shape: Frames, pixels and rate of the result.
            slow: How many times slower again.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.
        """
        return self.clip.read(shape, slow=self.factor * slow)
