from dataclasses import replace

import numpy as np
import pytest

from tqd_probe.clips.frame_selection import crop_and_resize, frame_numbers, stride
from tqd_probe.clips.shape import ClipShape


@pytest.mark.parametrize(
    ("source", "wanted", "expected"),
    [
        (16, 16, 1),
        (24, 16, 2),
        (23.976, 16, 1),
        (25, 16, 2),
        (30000 / 1001, 16, 2),
        (60, 16, 4),
        (12, 16, 1),
        (4, 16, 1),
        (30, 24, 1),
        (50, 8, 6),
    ],
)
def test_stride_is_the_rounded_ratio(source, wanted, expected):
    assert stride(source, wanted) == expected


def test_frame_numbers():
    shape = ClipShape(frames=7, height=8, width=8, fps=16)
    assert frame_numbers(shape, 30).tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert frame_numbers(shape, 30, slow=2).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert frame_numbers(shape, 30, slow=1.5).tolist() == [0, 1, 2, 4, 5, 6, 8]
    assert frame_numbers(shape, 30, slow=4).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert frame_numbers(shape, 16, slow=3).tolist() == [0, 0, 0, 1, 1, 1, 2]
    long = replace(shape, frames=34)  # 33 / 1.1 is 30, whatever floats say
    assert frame_numbers(long, 16, slow=1.1)[[31, 32, 33]].tolist() == [28, 29, 30]
    assert frame_numbers(shape, 60, slow=1.25).tolist() == [0, 3, 6, 9, 12, 16, 19]


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
