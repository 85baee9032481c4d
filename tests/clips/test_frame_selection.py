from dataclasses import dataclass

import numpy as np
import pytest

from tqd_probe.clips.frame_selection import crop_and_resize, nearest_frames
from tqd_probe.clips.shape import ClipShape


@dataclass
class Shown:
    time: float
    duration: float = 0.0


def chosen(times, instants, duration=0.0):
    """Numbers of the frames chosen for the instants, and how many frames were read."""
    read = []

    def frames():
        for number, time in enumerate(times):
            read.append(number)
            yield Shown(time, duration)

    numbers = []
    for frame, count in nearest_frames(frames(), instants):
        numbers += [list(times).index(frame.time)] * count
    return numbers, len(read)


def instants(count, fps=16, slow=1.0):
    return ClipShape(count, 8, 8, fps).times(slow).tolist()


@pytest.mark.parametrize(
    ("rate", "numbers"),
    [
        (16, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (24, [0, 1, 3, 4, 6, 7, 9, 10, 12]),  # half-way: the earlier
        (24000 / 1001, [0, 1, 3, 4, 6, 7, 9, 10, 12]),
        (30, [0, 2, 4, 6, 7, 9, 11, 13, 15]),
        (60, [0, 4, 7, 11, 15, 19, 22, 26, 30]),
        (12, [0, 1, 1, 2, 3, 4, 4, 5, 6]),  # repeated, never faster
        (4, [0, 0, 0, 1, 1, 1, 1, 2, 2]),
    ],
)
def test_the_nearest_frame_at_every_rate(rate, numbers):
    assert chosen([index / rate for index in range(60)], instants(9))[0] == numbers


@pytest.mark.parametrize("error", [-4e-4, 4e-4])
def test_stamps_rounded_to_milliseconds_choose_alike(error):
    times = [index / 24 for index in range(60)]
    rounded = [0.0] + [time + error * (-1) ** n for n, time in enumerate(times[1:])]
    wanted = instants(33)
    assert chosen(rounded, wanted)[0] == chosen(times, wanted)[0]


def test_slow_motion_asks_for_closer_instants():
    times = [index / 16 for index in range(60)]
    assert chosen(times, instants(7, slow=2))[0] == [0, 0, 1, 1, 2, 2, 3]
    assert chosen(times, instants(7, slow=1.5))[0] == [0, 1, 1, 2, 3, 3, 4]
    long = chosen(times, instants(34, slow=1.1))[0]  # 33 / 1.1 is 30 in any float
    assert long[33] == 30


def test_variable_rate_gap_and_last_frame():
    times = [0.0, 0.01, 0.2, 0.21, 0.9]
    assert chosen(times, [0, 0.1, 0.2, 0.55, 0.56, 0.9]) == ([0, 1, 2, 3, 4, 4], 5)
    # The last frame serves as long as it is shown, and no longer.
    assert chosen(times, [0.9, 0.99], duration=0.1)[0] == [4, 4]
    assert chosen(times, [0.9, 0.9999], duration=0.1)[0] == [4]
    assert chosen([0.0], [0.0, 0.1])[0] == [0]
    assert chosen([], [0.0])[0] == []


def test_no_frame_is_read_after_the_last_one_needed():
    times = [index / 30 for index in range(60)]
    assert chosen(times, [0.0, 0.1])[1] == 4  # the instant of frame 3 itself
    assert chosen(times, [0.0, 0.11])[1] == 5  # frame 3, by comparison with frame 4


def test_crop_of_tall_and_fractional_sizes():
    image = np.zeros((90, 40, 3), np.uint8)
    image[25:65] = 200  # the centred 40 rows
    assert (crop_and_resize(image, 20, 20) == 200).all()
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    resized = crop_and_resize(image, 20, 20)  # 30 columns kept, 1.5 pixels to one
    weights = np.zeros((20, 30))
    for row in range(20):
        for column in range(30):
            overlap = min((row + 1) * 1.5, column + 1) - max(row * 1.5, column)
            weights[row, column] = max(0, overlap) / 1.5
    kept = image[:, 10:40].astype(float)
    expected = np.einsum("ij,jkc,lk->ilc", weights, kept, weights)
    assert np.abs(resized - expected).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(crop_and_resize(image, 30, 50), image)
