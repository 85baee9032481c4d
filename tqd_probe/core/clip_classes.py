"""The four clip classes, and the one function that decides a class from scores.

TQD (arXiv 2603.25527) cuts clips by motion quality (mq) and visual quality (vq) into
four quadrants. Its names: HMHV is golden, HMLV visual-degraded, LMHV motion-degraded,
LMLV degraded both ways.
"""

from __future__ import annotations

from collections.abc import Iterable

GOLDEN = "golden"
VISUAL_DEGRADED = "visual_degraded"
MOTION_DEGRADED = "motion_degraded"
BOTH_DEGRADED = "both_degraded"

DEGRADED_CLASSES = (VISUAL_DEGRADED, MOTION_DEGRADED, BOTH_DEGRADED)
CLASSES = (GOLDEN, *DEGRADED_CLASSES)
LABELS = {name: name.replace("_", " ") for name in CLASSES}  # in figures and tables
# Intervals of fewer clips cannot be relied on: analyses/intervals/coverage.py
LEAST_CLIPS = 8


def classify(mq: float, vq: float, mq_min: float, vq_min: float) -> str:
    """Return the class of a clip.

    Args:
        mq: Motion quality in [0, 1].
        vq: Visual quality in [0, 1].
        mq_min: Motion quality from here on is good.
        vq_min: Visual quality from here on is good.

    Returns:
        One of `CLASSES`.
    """
    return CLASSES[(vq < vq_min) + 2 * (mq < mq_min)]


def golden_first(names: Iterable[str]) -> list[str]:
    """Return class names once each: golden first, the others by name.

    Args:
        names: Class names, repeated or not.

    Returns:
        The sorted names.
    """
    return sorted(set(names), key=lambda name: (name != GOLDEN, name))
