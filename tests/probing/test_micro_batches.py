import pytest

from tqd_probe.probing.micro_batches import (
    Draw,
    divide,
    micro_batches,
    micro_batches_by_stage,
)


def flat(some):
    return [draw for batch in some for draw in batch]


def test_draws_share_a_pass_up_to_its_size():
    found = list(micro_batches(3, range(3, 6), 2, 5, 20))
    assert [len(batch) for batch in found] == [4, 2, 6]  # 20 // 5 paired, 20 unpaired
    assert found[0] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert found[2] == [(3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (5, 1)]


@pytest.mark.parametrize("size", [1, 5, 9])
def test_a_draw_fills_its_passes_alone(size):
    found = list(micro_batches(3, (), 2, 5, size))
    assert found == [[(clip, draw)] for clip in range(3) for draw in range(2)]


@pytest.mark.parametrize(("size", "draws"), [(2, 2), (3, 3), (4, 4)])
def test_where_versions_do_not_fit_passes_are_filled_by_several_draws(size, draws):
    found = list(micro_batches(6, (), 2, 5, size))
    assert [len(batch) for batch in found] == [draws] * (12 // draws)
    versions = ["golden", "a", "b", "c", "d"]
    for batch in found:
        passes = divide(batch, versions, size)
        counts = [sum(len(names) for _, names in rows) for rows in passes]
        assert counts == [size] * (5 * draws // size)


def test_stages_add_up_to_all_draws_once():
    stages = [(8, 1), (24, 1), (24, 2), (24, 3)]
    by_stage = list(micro_batches_by_stage(stages, range(24, 29), 5, 20))
    assert [len(flat(some)) for some in by_stage] == [13, 16, 29, 29]
    seen = [draw for some in by_stage for draw in flat(some)]
    assert len(seen) == len(set(seen)) == 29 * 3
    assert set(seen) == set(flat(micro_batches(24, range(24, 29), 3, 5, 20)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (16, [[4, 4, 4, 4]]),
        (15, [[4, 4, 4], [4]]),
        (8, [[4, 4], [4, 4]]),
        (7, [[4]] * 4),
        (3, [[3], [1, 2], [2, 1], [3], [3], [1]]),
        (1, [[1]] * 16),
    ],
)
def test_a_micro_batch_is_divided_into_passes_in_order(size, expected):
    draws, versions = [Draw(c, s) for c in (0, 1) for s in (0, 1)], ["a", "b", "c", "d"]
    parts = divide(draws, versions, size)
    assert [[len(names) for _, names in rows] for rows in parts] == expected
    flat_parts = [
        (draw, name) for rows in parts for draw, names in rows for name in names
    ]
    assert flat_parts == [(draw, name) for draw in draws for name in versions]
