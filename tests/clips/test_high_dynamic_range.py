import numpy as np
import pytest

from tqd_probe.clips.high_dynamic_range import (
    BT2020,
    HLG,
    PQ,
    hlg_to_scene,
    pq_to_light,
    rgb_codes,
    srgb_code,
    to_standard_range,
)


def test_curves_at_published_points():
    # BT.2408, table 1: 203 cd/m2 is 58 % PQ and 75 % HLG; ST 2084: 100 cd/m2 is 50.8 %.
    assert pq_to_light(np.array([0.0, 0.5081, 0.5807, 1.0])) == pytest.approx(
        [0, 100, 203, 10000], rel=2e-3
    )
    assert hlg_to_scene(np.array([0.0, 0.5, 1.0])) == pytest.approx([0, 1 / 12, 1])
    assert 1000 * hlg_to_scene(np.array([0.75])) ** 1.2 == pytest.approx(
        [203], rel=2e-3
    )
    assert 255 * srgb_code(np.array([0.18, 0.5, 1])) == pytest.approx(
        [117.7, 187.5, 255], abs=0.1
    )


def pq_code(nits):
    """The inverse of the PQ curve (ST 2084), 16 bits."""
    y = (np.asarray(nits) / 10000) ** (2610 / 16384)
    code = (3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)
    return np.round(65535 * code ** (2523 / 32)).astype(np.uint16)


def hlg_code(nits):
    """The inverse of HLG on a display of 1,000 cd/m2 (BT.2100), grey, 16 bits."""
    scene = (np.asarray(nits) / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.round(65535 * np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


@pytest.mark.parametrize(("transfer", "code"), [(PQ, pq_code), (HLG, hlg_code)])
def test_greys_have_the_codes_of_an_ordinary_display(transfer, code):
    grey = code(203 * np.array([0, 0.1, 0.18, 0.5, 1, 4])).astype(np.uint16)
    image = grey[None, :, None].repeat(3, axis=2)
    found = to_standard_range(image, transfer, BT2020)[0]
    wanted = np.array([0, 89, 118, 188, 255, 255])  # sRGB
    assert np.abs(found.astype(int) - wanted[:, None]).max() <= 1


def test_primaries_become_those_of_bt709():
    # BT.709's red at diffuse white, in BT.2020: 0.6274, 0.0691, 0.0164 (BT.2087).
    red = pq_code(203 * np.array([0.6274, 0.0691, 0.0164]))
    found = to_standard_range(red[None, None], PQ, BT2020)[0, 0]
    assert np.abs(found.astype(int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize(
    ("matrix", "full", "yuv", "wanted"),
    [
        (9, False, (235, 128, 128), (1, 1, 1)),
        (9, False, (16, 128, 128), (0, 0, 0)),
        (9, False, (73.5, 96.7, 240), (1, 0, 0)),  # red is 0.2627 of luma
        (1, False, (31.8, 240, 117.7), (0, 0, 1)),
        (9, True, (255.996, 128, 128), (1, 1, 1)),
    ],
)
def test_matrix_and_range(matrix, full, yuv, wanted):
    image = np.round(256 * np.array(yuv)).astype(np.uint16)[None, None]
    found = rgb_codes(image, matrix, full)[0, 0] / 65535
    np.testing.assert_allclose(found, wanted, atol=4e-3)
