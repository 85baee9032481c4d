"""What is compared with golden: classes, and each degradation alone."""

from __future__ import annotations

from collections.abc import Collection

from tqd_probe.clips.degradations import CONTROL, Degradation
from tqd_probe.core.clip_classes import GOLDEN


def paired_comparisons(degradations: tuple[Degradation, ...]) -> dict[str, list[int]]:
    """List what is compared with golden: classes first, then each degradation.

    Args:
        degradations: The degradations in the order of the Gram matrices.

    Returns:
        Indices of the pooled versions (0 is golden) by name. Controls are compared
        by themselves and belong to no class; an extreme one (a still picture) only to
        a class that has no other.
    """
    classes: dict[str, list[int]] = {}
    for index, each in enumerate(degradations, start=1):
        if each.kind != CONTROL:
            classes.setdefault(each.kind, []).append(index)
    for name, rows in classes.items():
        usual = [row for row in rows if not degradations[row - 1].extreme]
        classes[name] = usual or rows
    order = sorted(classes, reverse=True)  # visual_degraded before motion_degraded
    alone = {str(each): [i] for i, each in enumerate(degradations, start=1)}
    return {**{name: classes[name] for name in order}, **alone}


def paired_classes(
    degradations: tuple[Degradation, ...], unpaired: Collection[str]
) -> dict[str, list[int]]:
    """List golden and the classes of degraded copies.

    Args:
        degradations: The degradations in the order of the Gram matrices.
        unpaired: Names of classes with clips of their own, which take their place.

    Returns:
        Indices of the pooled versions by class; golden first.
    """
    alone = {str(each) for each in degradations}
    copies = paired_comparisons(degradations)
    left = {k: rows for k, rows in copies.items() if k not in alone | set(unpaired)}
    return {GOLDEN: [0], **left}
