"""Which draws share a forward and backward pass: several, while the network is small.

A pass of a small network is short, and its overhead is paid once for all that it holds.
Micro-batches depend only on numbers that every process and every resumed run knows,
never on what is stored already or on which process computes: so results are equal
to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, product
from typing import NamedTuple

Stage = tuple[int, int]  # paired clips, noise samples of each


class Draw(NamedTuple):
    """A clip under one noise sample.

    Attributes:
        clip: Index of the clip among all clips of the probe.
        sample: Index of the noise sample.
    """

    clip: int
    sample: int


Rows = list[tuple[Draw, list[str]]]  # of a pass: draws, and which versions of each


def micro_batches(
    clips: int,
    others: Iterable[int],
    samples: int,
    versions: int,
    size: int,
    done: Stage = (0, 0),
) -> Iterator[list[Draw]]:
    """Divide the draws of a noise level among passes.

    Args:
        clips: Paired clips, from the first.
        others: Indices of unpaired clips, which have one version.
        samples: Noise samples of each.
        versions: Versions of a paired clip.
        size: Versions that a pass holds. Where those of a draw do not fit, a
            micro-batch has as many draws as fill its passes.
        done: Paired clips and noise samples of an earlier stage: left out. Unpaired
            clips were all in it.

    Yields:
        Draws of each pass: paired or unpaired ones.
    """
    paired = [
        Draw(clip, sample)
        for clip, sample in product(range(clips), range(samples))
        if clip >= done[0] or sample >= done[1]
    ]
    single = [Draw(c, sample) for c, sample in product(others, range(done[1], samples))]
    for draws, each in ((paired, versions), (single, 1)):
        count = size // each or size // math.gcd(size, each)
        for start in range(0, len(draws), count):
            yield draws[start : start + count]


def micro_batches_by_stage(
    stages: Iterable[Stage], others: Iterable[int], versions: int, size: int
) -> Iterator[list[list[Draw]]]:
    """Divide the draws of a noise level that is probed in stages.

    Args:
        stages: Paired clips and noise samples, rising.
        others: Indices of unpaired clips.
        versions: Versions of a paired clip.
        size: Versions that a pass holds.

    Yields:
        The passes of each stage; no draw twice.
    """
    done = (0, 0)
    for clips, samples in stages:
        yield list(micro_batches(clips, others, samples, versions, size, done))
        done = clips, samples


def divide(draws: Sequence[Draw], versions: list[str], size: int) -> list[Rows]:
    """Divide a micro-batch into passes.

    Args:
        draws: Its draws.
        versions: Versions of each clip.
        size: Versions that a pass may hold.

    Returns:
        Draws and versions of each pass, in order: whole draws where all versions of
        one fit.
    """
    step = size // len(versions) * len(versions) or size
    rows = list(product(draws, versions))
    return [
        [
            (draw, [version for _, version in some])
            for draw, some in groupby(rows[start : start + step], lambda row: row[0])
        ]
        for start in range(0, len(rows), step)
    ]
