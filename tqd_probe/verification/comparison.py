"""Samplers compared with the baseline: which helps, by how much, at which levels.

The interim analyses (`tqd_probe.verification.interim_analyses`) and, by Bonferroni's
correction, the comparisons with the baseline share the error allowed. Buckets of sigma
are a second family: they share the same error among themselves, beside that of the
comparisons, so that both hold together with twice the error.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tqd_probe.statistics.paired_difference import paired_difference
from tqd_probe.verification.interim_analyses import InterimAnalysis
from tqd_probe.verification.result import ComparisonResult, Outcome

Losses = Mapping[str, np.ndarray]


def compare_with_baseline(
    losses: Losses, baseline: str, analysis: InterimAnalysis
) -> dict[str, ComparisonResult]:
    """Compare every sampler with the baseline.

    Args:
        losses: Golden held-out loss after training ``[seeds, clips, buckets]`` by
            label.
        baseline: The label others are compared with.
        analysis: The analysis, with the error allowed for one comparison.

    Returns:
        A comparison for each of the others.
    """
    found = {}
    for label, values in losses.items():
        if label == baseline:
            continue
        gap = values - losses[baseline]
        overall = paired_difference(gap.mean(2), analysis.level)
        count = gap.shape[2]
        # An analysis adds its share of the error by the union bound: sure, if wide.
        level = analysis.error_spent / count
        outcome: Outcome = "no difference shown"
        if overall.excludes_zero:
            outcome = "helps" if overall.mean < 0 else "hurts"
        found[label] = ComparisonResult(
            outcome=outcome,
            difference=overall,
            buckets=[paired_difference(gap[:, :, b], level) for b in range(count)],
        )
    return found


def ranking_is_clear(losses: Losses, baseline: str, level: float) -> bool:
    """Test whether every sampler differs from the baseline.

    Args:
        losses: As for `compare_with_baseline`.
        baseline: The label others are compared with.
        level: Error of one interval.

    Returns:
        True if no interval of a difference holds 0.
    """
    return all(
        paired_difference((values - losses[baseline]).mean(2), level).excludes_zero
        for label, values in losses.items()
        if label != baseline
    )
