"""Adaptive probing: interim analyses stop levels whose comparisons are all decided.

A level is analysed after its first 8 clips, after all clips, and after each further
noise draw. It stops when, for every class and degradation, the interval of the cosine
lies on one side of ``--cos-min`` (and, above it, that of the norm ratio on one side of
each end of ``--norm-range``). Repeated analyses find chance crossings: all intervals of
a run whose levels may have k analyses have confidence 1 - (1 - c) / k (Bonferroni),
those reported in the end like those analysed, since the analysis that ended a level is
one of the k (`ProbeSettings.level_confidence`). Unpaired clips of imbalanced classes
are all in every analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.clips.degradations import Degradation
from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.micro_batches import Stage
from tqd_probe.probing.option_parsing import read_range
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.statistics.similarity import LevelStatistics, Similarity

FIRST_CLIPS = LEAST_CLIPS


def stopping_rule(settings: ProbeRunSettings) -> list[Any]:
    """List the settings that decide which draws are made.

    Args:
        settings: The run's settings.

    Returns:
        JSON values; empty without ``--adaptive``, so that such runs may share
        gradients whatever their criterion.
    """
    if not settings.adaptive:
        return []
    return [settings.cos_min, settings.norm_range, settings.level_confidence()]


def interim_stages(clips: int, draws: int, adaptive: bool) -> list[Stage]:
    """List how many clips and draws a level has at each analysis.

    Args:
        clips: Clips of the run.
        draws: Noise draws per clip of the run.
        adaptive: Whether levels may stop early.

    Returns:
        Rising pairs of clips and draws; the last is all.
    """
    if not adaptive:
        return [(clips, draws)]
    first = [(FIRST_CLIPS, 1)] if clips > FIRST_CLIPS else []
    return [*first, *((clips, draw + 1) for draw in range(draws))]


def is_decided(
    gram: LevelGram,
    degradations: tuple[Degradation, ...],
    unpaired: dict[str, list[int]],
    settings: ProbeRunSettings,
) -> bool:
    """Return whether more draws can no longer change which bands a level belongs to.

    Args:
        gram: Gram matrices of the level so far.
        degradations: Degradations in order.
        unpaired: Indices among the unpaired clips by class.
        settings: The run's settings.

    Returns:
        True if every class and degradation is clearly inside or outside.
    """
    confidence = settings.level_confidence()
    statistics = LevelStatistics(gram.all_groups(), 0, confidence=confidence)
    if not statistics.golden().resolved:
        return False
    wanted = read_range(settings.norm_range)
    found = [
        statistics.compare(pooled)
        for name, pooled in paired_comparisons(degradations).items()
        if name not in unpaired
    ]
    # A class of too few clips has no interval, however many draws there are.
    found += [
        statistics.compare_unpaired(rows, place)
        for place, rows in enumerate(unpaired.values())
        if len(rows) >= LEAST_CLIPS
    ]
    return all(is_clear(each, settings.cos_min, wanted) for each in found)


def is_clear(found: Similarity, cos_min: float, norms: tuple[float, float]) -> bool:
    """Return whether intervals lie clear of every threshold that matters.

    Args:
        found: A comparison with golden.
        cos_min: Threshold of the cosine.
        norms: Range of the norm ratio.

    Returns:
        True if the comparison is clearly inside, or clearly outside.
    """
    if not np.isfinite([*found.cosine_ci, *found.norm_ratio_ci]).all():
        return False
    low, high = found.cosine_ci
    least, most = found.norm_ratio_ci
    outside = high < cos_min or most < norms[0] or least > norms[1]
    inside = low >= cos_min and least >= norms[0] and most <= norms[1]
    return outside or inside
