import numpy as np
import pytest

from tqd_probe.sampling.level_buckets import (
    BUCKETS,
    bucket_edges,
    bucket_index,
    format_buckets,
    format_level,
)


def test_buckets_of_the_whole_range_are_tenths():
    assert bucket_edges() == pytest.approx(np.linspace(0, 1, 11))
    levels = np.array([0.0, 0.09, 0.1, 0.55, 0.999, 1.0])
    assert bucket_index(levels).tolist() == [0, 0, 1, 5, 9, 9]


def test_buckets_of_an_expert_share_its_own_range():
    edges = bucket_edges((0.875, 1.0))
    assert edges[[0, 3, -1]] == pytest.approx([0.875, 0.9125, 1.0])
    middles = (edges[1:] + edges[:-1]) / 2
    found = bucket_index(middles, (0.875, 1.0))
    assert found.tolist() == list(range(BUCKETS))


def test_ranges_are_written_with_the_edges_of_their_buckets():
    assert format_buckets(bucket_edges(), [0, 1, 2, 5]) == "0.0 to 0.3, 0.5 to 0.6"
    assert format_buckets(bucket_edges((0.875, 1.0)), [0, 1, 2]) == "0.875 to 0.9125"
    assert format_buckets(bucket_edges(), [9]) == "0.9 to 1.0"
    assert format_level(0.30000000000000004) == "0.3"
