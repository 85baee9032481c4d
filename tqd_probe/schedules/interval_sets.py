"""Sets of intervals of sigma: union, intersection, what is left of a range.

A set is a list of disjoint intervals, rising. Intervals that meet are one.
"""

from __future__ import annotations

from collections.abc import Iterable

Band = tuple[float, float]
LEAST_WIDTH = 1e-9  # narrower ones are rounding


def union(*sets: Iterable[Band]) -> list[Band]:
    """Join sets of intervals.

    Args:
        *sets: Sets of intervals, in any order.

    Returns:
        What lies in at least one.
    """
    joined: list[Band] = []
    for low, high in sorted(each for some in sets for each in some):
        if joined and low <= joined[-1][1] + LEAST_WIDTH:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


def intersection(first: Iterable[Band], *others: Iterable[Band]) -> list[Band]:
    """Intersect sets of intervals.

    Args:
        first: A set of intervals.
        *others: More sets.

    Returns:
        What lies in all, single points included.
    """
    found = union(first)
    for other in others:
        pairs = [(a, b) for a in found for b in union(other)]
        cut = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs]
        found = union((low, high) for low, high in cut if low <= high)
    return found


def difference(range_: Band, *sets: Iterable[Band]) -> list[Band]:
    """Take sets of intervals out of a range.

    Args:
        range_: Lower and upper end.
        *sets: What is taken out.

    Returns:
        What is left, without single points.
    """
    left, start = [], range_[0]
    for low, high in union(*sets):
        left.append((start, min(low, range_[1])))
        start = max(start, high)
    left.append((start, range_[1]))
    return wide(left)


def wide(intervals: Iterable[Band]) -> list[Band]:
    """Leave out single points and what rounding made.

    Args:
        intervals: A set of intervals.

    Returns:
        Those wider than `LEAST_WIDTH`.
    """
    return [(low, high) for low, high in intervals if high - low > LEAST_WIDTH]


def length(intervals: Iterable[Band]) -> float:
    """Add the lengths of disjoint intervals.

    Args:
        intervals: A set of intervals.

    Returns:
        Their length together.
    """
    return float(sum(high - low for low, high in intervals))
