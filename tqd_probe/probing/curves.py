"""Curves of similarity over the noise levels, from Gram matrices."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tqd_probe.core.files import finite_or_none
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.result import GoldenCurves, SimilarityCurves
from tqd_probe.statistics.similarity import LevelStatistics

Rows = dict[str, list[int]]


def similarity_curves(
    levels: list[LevelGram],
    group: int,
    paired: Rows,
    unpaired: Rows,
    confidence: float,
) -> tuple[GoldenCurves, dict[str, SimilarityCurves]]:
    """Compute the curves of one module group over the levels.

    Args:
        levels: Gram matrices of each level.
        group: Index of the module group.
        paired: Versions that each class pools, by class.
        unpaired: Indices of the unpaired clips of each class.
        confidence: Of intervals.

    Returns:
        Curves of golden gradients, and of each class.
    """
    golden: list[Any] = []
    found: dict[str, list[Any]] = {name: [] for name in (*unpaired, *paired)}
    for gram in levels:
        statistics = LevelStatistics(gram, group, confidence=confidence)
        golden.append(statistics.golden())
        for place, (name, rows) in enumerate(unpaired.items()):
            found[name].append(statistics.compare_unpaired(rows, place))
        for name, rows in paired.items():
            found[name].append(statistics.compare(rows))
    return (
        GoldenCurves(**_per_level(golden)),
        {name: SimilarityCurves(**_per_level(rows)) for name, rows in found.items()},
    )


def _per_level(statistics: list[Any]) -> dict[str, list[Any]]:
    """Turn one dataclass per level into a list per field, undefined values None."""
    rows = [asdict(each) for each in statistics]
    return {key: [_defined(row[key]) for row in rows] for key in rows[0]}


def _defined(value: Any) -> Any:
    """Return None for a number that is not finite, or an interval with one."""
    if isinstance(value, tuple):
        bounds = tuple(finite_or_none(bound) for bound in value)
        return None if None in bounds else bounds
    return value if isinstance(value, bool) else finite_or_none(value)
