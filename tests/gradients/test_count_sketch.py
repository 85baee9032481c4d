import pytest
import torch

from tqd_probe.gradients.count_sketch import (
    CyclicCountSketch,
    Workspace,
    add_cyclically,
    add_rows_cyclically,
    largest_prime,
    row_stride,
)


def test_primes():
    assert [largest_prime(n) for n in (1, 2, 4, 16, 438, 600)] == [
        1,
        2,
        3,
        13,
        433,
        599,
    ]


def test_rows_begin_an_odd_length_apart_that_is_no_multiple_of_the_width():
    assert [row_stride(c, 7) for c in (5, 6, 7, 20, 128)] == [5, 9, 9, 23, 129]
    assert row_stride(4, 1) == 5


def places(rows, columns, start, parts, width):
    """Where each entry goes, by feeding one at a time."""
    workspace, found = Workspace(), {}
    for row in range(rows):
        for column in range(columns):
            entries = torch.zeros(1, rows, columns)
            entries[0, row, column] = 3.0
            into = torch.zeros(1, parts, width)
            add_cyclically(entries, torch.ones(rows, columns), start, into, workspace)
            at = into[0].nonzero()
            assert len(at) == 1
            assert float(into.sum()) == 3.0
            found[row, column] = tuple(at[0].tolist())
    return found


@pytest.mark.parametrize(("rows", "columns"), [(1, 9), (6, 4), (7, 8), (3, 77)])
def test_every_entry_goes_to_the_place_that_is_stated(rows, columns):
    parts, width, start = 4, 5, 13
    apart = row_stride(columns, width)
    for (row, column), found in places(rows, columns, start, parts, width).items():
        place = start + row * apart + column
        assert found == (place % parts, place // parts % width)


def test_entries_of_a_column_do_not_meet_and_fall_into_all_parts():
    found = places(40, 8, 0, 8, 11)
    column = [found[row, 3] for row in range(40)]
    assert len(set(column)) == 40
    assert {part for part, _ in column} == set(range(8))


def test_rows_go_to_their_parts_around_the_end_and_with_signs():
    generator = torch.Generator().manual_seed(0)
    entries = torch.randn(2, 5, 6, generator=generator)  # parts 0, 1, 2, 0, 1
    signs = torch.randint(0, 2, (5, 6), generator=generator) * 2.0 - 1
    into = torch.ones(2, 3, 4)
    add_rows_cyclically(entries, signs, [3, 1], into, Workspace())
    wanted = torch.ones(2, 3, 4)
    for row in range(5):
        for column in range(6):
            at = ([3, 1][row // 3] + column) % 4
            wanted[:, row % 3, at] += entries[:, row, column] * signs[row, column]
    torch.testing.assert_close(into, wanted)


def test_memory_is_used_again_and_what_lay_there_does_not_show():
    workspace = Workspace()
    first = workspace.take((2, 8), torch.empty(0))
    assert workspace.take((3, 4), torch.empty(0)).data_ptr() == first.data_ptr()
    assert (
        workspace.take((1,), torch.empty(0, dtype=torch.float64)).dtype == torch.float64
    )
    workspace.take((4000,), torch.empty(0)).fill_(torch.nan)
    one = CyclicCountSketch(torch.ones(3, 4), [5], (2, 22), (4, 5), False)
    into = torch.zeros(2, 30)
    one.add(torch.ones(2, 12), into, workspace)
    assert float(into.sum()) == 24.0
    assert float(into[:, :2].sum()) == float(into[:, 22:].sum()) == 0.0
