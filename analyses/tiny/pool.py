"""What `tiny` is trained on: clips slower, softer and duller than golden ones.

Base models are trained on whatever the web holds and meet golden clips only later, and
that is where a golden gradient comes from: it points from the pool to golden clips, to
more detail and more motion. A model trained on golden clips to the end has none.
"""

from __future__ import annotations

import numpy as np

from tqd_probe.clips import visual_degradations as visual
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.rng import stream

SLOWER = (1.3, 2.5)  # times; golden clips move at 1
BLUR = (0.007, 0.014)  # deviation in shorter sides; between blur:1 and blur:2
CONTRAST = (0.85, 1.0)  # of deviations from mid-grey


def pool_clip(index: int, seed: int, shape: ClipShape) -> tuple[str, np.ndarray]:
    """Render the pool's version of a synthetic clip.

    Args:
        index: Number of the clip.
        seed: Seed of the collection.
        shape: Frames, pixels and rate.

    Returns:
        The caption, which is that of the golden clip, and the video, uint8
        ``[T, H, W, 3]``.
    """
    rng = stream(seed, "pool", index)
    clip = synthetic_clip(index, seed)
    video = clip.read(shape, slow=float(rng.uniform(*SLOWER)))
    video = visual.blur(video, float(rng.uniform(*BLUR)))
    duller = 127.5 + (video - 127.5) * float(rng.uniform(*CONTRAST))
    return clip.caption, np.round(np.clip(duller, 0, 255)).astype(np.uint8)
