"""Which draws share a pass: several of them, while the network is small.

A pass of a small network is short, and what a pass costs beside its arithmetic is paid
once for all that it holds. Packs are laid out in advance, by numbers that every process
and every resumed run knows: which draws share a pass never depends on what is stored
already or on who computes it, and so neither do the last digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

Draw = tuple[int, int]  # clip, noise sample
Stage = tuple[int, int]  # paired clips, noise samples of each


def packs(
    clips: int, others: Iterable[int], draws: int, versions: int, size: int,
    done: Stage = (0, 0),
) -> Iterator[list[Draw]]:  # fmt: skip
    """Divide the draws of a noise level among passes.

    Args:
        clips: Paired clips, from the first.
        others: Places of unpaired clips, which have one version.
        draws: Noise samples of each.
        versions: Versions of a paired clip.
        size: Versions that a pass holds; a draw whose versions do not fit is alone.
        done: Paired clips and noise samples of an earlier stage: left out. Unpaired
            clips were all in it.

    Yields:
        Draws ``(clip, noise sample)`` of each pass: paired or unpaired ones.
    """
    left = [
        (clip, draw)
        for clip, draw in product(range(clips), range(draws))
        if clip >= done[0] or draw >= done[1]
    ]
    single = list(product(others, range(done[1], draws)))
    for some, each in ((left, versions), (single, 1)):
        many = max(1, size // each)
        for start in range(0, len(some), many):
            yield some[start : start + many]


def staged(
    stages: Iterable[Stage], others: Iterable[int], versions: int, size: int
) -> Iterator[list[list[Draw]]]:
    """Divide the draws of a noise level that is probed in stages.

    Args:
        stages: Paired clips and noise samples, rising.
        others: Places of unpaired clips.
        versions: Versions of a paired clip.
        size: Versions that a pass holds.

    Yields:
        The passes of each stage; no draw twice.
    """
    done = (0, 0)
    for clips, draws in stages:
        yield list(packs(clips, others, draws, versions, size, done))
        done = clips, draws
