"""Clips whose pixels are given, and what degradations make of them."""

from dataclasses import dataclass

import numpy as np

from tqd_probe.clips.degradations import (
    EFFECTS,
    Degradation,
)
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip

SHAPE = ClipShape(frames=17, height=64, width=64, fps=16)
EVERY = [
    Degradation(name, severity)
    for name, effect in EFFECTS.items()
    for severity in range(1, len(effect.amounts) + 1)
]
VISUAL = [name for name, effect in EFFECTS.items() if effect.kind == "visual_degraded"]
CLIPS = [synthetic_clip(index) for index in range(4)]


@dataclass(frozen=True)
class ArrayClip:
    """A clip whose pixels are given."""

    video: np.ndarray
    id: str = "array"
    caption: str = "an array"

    def identity(self):
        return self.id

    def read(self, shape, slow=1.0):
        assert self.video.shape == (shape.frames, shape.height, shape.width, 3)
        return self.video.copy()

    @property
    def shape(self):
        return ClipShape(*self.video.shape[:3], fps=16)


def numbered(frames):
    """A clip whose frame i is uniform grey of level i."""
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return ArrayClip(np.broadcast_to(levels, (frames, 8, 8, 3)).copy())


def order(name, severity, frames, seed=0):
    clip = numbered(frames)
    out = Degradation(name, severity).apply(clip, clip.shape, seed)
    assert (out == out[:, :1, :1, :1]).all()
    return out[:, 0, 0, 0].tolist()


def difference(video, other):
    return np.abs(video.astype(float) - other).mean()
