import pytest

from tqd_probe.scoring.scene_cuts import find_cuts


@pytest.mark.parametrize(
    ("changes", "cuts"),
    [
        ([], []),
        ([2, 2, 2, 40, 2, 2], [4]),
        ([40, 2, 2], [1]),
        ([2, 2, 40], [3]),
        ([0, 0, 0, 7, 0, 0], []),  # too small: a dark scene's flicker
        ([0, 0, 0, 9, 0, 0], [4]),
        ([20, 25, 40, 30, 22], []),  # fast all the way
        ([2, 3, 35, 38, 30, 3, 2], []),  # something passes close to the camera
        ([2, 2, 30, 2, 2, 2, 2, 50, 2], [3, 8]),
        ([12, 12, 35, 12, 12], []),  # not three times as much as nearby
        ([12, 12, 37, 12, 12], [3]),
    ],
)
def test_a_cut_is_large_and_alone(changes, cuts):
    assert find_cuts(changes) == cuts
