import json

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.probing.pass_sizes import PassSizes, Place


def test_passes_are_smaller_from_a_place_on(tmp_path):
    sizes = PassSizes(tmp_path, 32)
    assert sizes.at(Place(5, 0, 0)) == 32
    sizes.shrink(Place(1, 0, 3), 16)
    sizes.shrink(Place(1, 1, 0), 4)
    places = [(0, 9, 9), (1, 0, 2), (1, 0, 3), (1, 0, 9), (1, 1, 0), (2, 0, 0)]
    expected = [32, 32, 16, 16, 4, 4]
    for known in (sizes, PassSizes(tmp_path, 32), PassSizes(tmp_path, 32, 1, 2)):
        assert [known.at(Place(*place)) for place in places] == expected


def test_a_process_that_shrinks_leaves_the_passes_of_others_alone(tmp_path):
    """Whoever computes them later: their sizes are those of the first run."""
    PassSizes(tmp_path, 32, 1, 3).shrink(Place(0, 0, 4), 8)
    alone = PassSizes(tmp_path, 32)
    sizes = [alone.at(Place(0, 0, batch)) for batch in range(9)]
    assert sizes == [32, 32, 32, 32, 8, 32, 32, 8, 32]
    alone.shrink(Place(0, 0, 7), 2)
    assert [PassSizes(tmp_path, 32).at(Place(0, 0, b)) for b in (4, 7, 8)] == [8, 2, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "memory-0.json",
        "memory-1.json",
    ]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"smaller": [[0, 0, 0, 8, 0]]},
        {"smaller": [[0, 0, 0, 0, 0, 1]]},
        {"smaller": [[0, 0, 0, 8, 1, 1]]},
        {"smaller": [[0, 0, 0, "8", 0, 1]]},
    ],
)
def test_a_damaged_record_is_named(tmp_path, value):
    (tmp_path / "memory-0.json").write_text(json.dumps(value))
    with pytest.raises(
        InputError, match=r"memory-0\.json: not a record of sizes.*; delete"
    ):
        PassSizes(tmp_path, 32)
