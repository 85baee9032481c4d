"""Segments of entries on numbers."""

import numpy as np
import pytest
import torch

from tqd_probe.gradients.count_sketch import CountSketch, Piece

PARTS = 4


def stream(use, name):
    return np.random.default_rng([sum(map(ord, use + name))])


def piece(name, entries, projections=0, start=0, width=6):
    group = f"at {start}"
    return Piece(name, entries, projections, group, start, width, crowd=entries)


def columns_of(sketch, name, entries, size):
    """Where each entry goes and with which sign: one column per number."""
    into = torch.zeros(entries, size)
    sketch.add({name: torch.eye(entries)}, into)
    return into


def test_every_entry_goes_to_one_number_with_its_sign():
    sketch = CountSketch([piece("a", 100)], PARTS, stream)
    table = columns_of(sketch, "a", 100, 24)
    assert (table.abs().sum(1) == 1).all()
    assert 30 < (table.sum(1) > 0).sum() < 70
    counts = table.abs().sum(0)
    assert set(counts.int().tolist()) == {4, 5}  # 100 entries on 24 numbers


def test_fewer_entries_than_numbers_never_collide():
    sketch = CountSketch([piece("a", 20)], PARTS, stream)
    table = columns_of(sketch, "a", 20, 24)
    assert table.abs().sum(0).max() == 1


def test_parameters_of_a_group_are_dealt_as_one():
    sketch = CountSketch([piece("a", 9), piece("b", 15)], PARTS, stream)
    into = torch.zeros(24, 24)
    sketch.add({"a": torch.eye(24)[:, :9], "b": torch.eye(24)[:, 9:]}, into)
    assert (into.abs().sum(0) == 1).all()
    assert (into.abs().sum(1) == 1).all()


@pytest.mark.parametrize(("entries", "length"), [(24 * 16 * 64, 64), (24 * 16 * 4, 4)])
def test_many_entries_share_a_number_in_segments(entries, length):
    sketch = CountSketch([piece("a", entries)], PARTS, stream)
    (lane,) = sketch._lanes
    assert lane.length == length
    assert len(lane.numbers) == entries // length
    x = torch.randn(3, entries, dtype=torch.float64)
    into = torch.zeros(3, 24, dtype=torch.float64)
    sketch.add({"a": x}, into)
    signs, numbers = (
        torch.from_numpy(lane.signs).double(),
        torch.from_numpy(lane.numbers),
    )
    expected = torch.zeros_like(into)
    for entry in range(entries):
        expected[:, numbers[entry // length]] += signs[entry] * x[:, entry]
    torch.testing.assert_close(into, expected)


def test_a_projected_column_stays_in_its_part_and_is_scaled():
    sketch = CountSketch([piece("a", 8 * 30, projections=8)], PARTS, stream)
    table = columns_of(sketch, "a", 8 * 30, 24).view(8, 30, PARTS, 6)
    assert table.abs().max() == pytest.approx(8**-0.5)
    for column in range(8):
        used = table[column].abs().sum((0, 2)) > 0
        assert used.tolist() == [part == column % PARTS for part in range(PARTS)]


def test_missing_parameters_count_as_zero_and_the_map_follows_the_name():
    pieces = [piece("a", 100), piece("b", 50, start=24)]
    sketch = CountSketch(pieces, PARTS, stream)
    x = torch.randn(2, 50)
    into = torch.zeros(2, 48)
    sketch.add({"b": x}, into)
    assert (into[:, :24] == 0).all()
    alone = torch.zeros(2, 48)
    CountSketch(pieces[1:], PARTS, stream).add({"b": x}, alone)
    assert torch.equal(into, alone)


def test_entries_of_the_next_parameter_of_a_group_may_stand_behind():
    pieces = [
        piece("a.weight", 40, projections=8),
        piece("a.bias", 5),
        piece("b.weight", 30, start=24),
        piece("b.bias", 30 * 64, start=24),  # in longer segments
    ]
    sketch = CountSketch(pieces, PARTS, stream)
    assert sketch.follows == {"a.weight": "a.bias"}
    entries = {p.name: torch.randn(3, p.entries) for p in pieces}
    apart, joined = torch.zeros(2, 3, 48).unbind()
    sketch.add(entries, apart)
    both = torch.cat([entries["a.weight"], entries.pop("a.bias")], 1)
    sketch.add({**entries, "a.weight": both}, joined)
    assert apart.abs().min() > 0
    assert torch.equal(apart, joined)
