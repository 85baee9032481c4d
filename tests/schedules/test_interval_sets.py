from tqd_probe.schedules.interval_sets import (
    difference,
    intersection,
    length,
    union,
    wide,
)


def test_union_joins_what_meets_or_overlaps():
    assert union([(0.5, 0.7), (0.0, 0.1)], [(0.1, 0.2), (0.6, 0.9)]) == [
        (0.0, 0.2),
        (0.5, 0.9),
    ]
    assert union() == union([], []) == []


def test_intersection_keeps_single_points():
    first, second = [(0.0, 0.4), (0.6, 1.0)], [(0.3, 0.6), (0.7, 0.8)]
    assert intersection(first, second) == [(0.3, 0.4), (0.6, 0.6), (0.7, 0.8)]
    assert wide(intersection(first, second)) == [(0.3, 0.4), (0.7, 0.8)]
    assert intersection(first, second, [(0.35, 0.75)]) == [
        (0.35, 0.4),
        (0.6, 0.6),
        (0.7, 0.75),
    ]
    assert intersection(first, []) == []


def test_difference_is_what_is_left_of_the_range():
    taken = [(0.0, 0.2), (0.5, 0.6)], [(0.55, 0.8)]
    assert difference((0.1, 0.9), *taken) == [(0.2, 0.5), (0.8, 0.9)]
    assert difference((0.1, 0.9)) == [(0.1, 0.9)]
    assert difference((0.1, 0.9), [(0.0, 1.0)]) == []
    assert difference((0.7, 0.7)) == []


def test_length():
    assert length([(0.0, 0.25), (0.5, 1.0)]) == 0.75
