from itertools import pairwise

import cv2
import numpy as np
import pytest
from textures import texture

from tqd_probe.core.rng import stream
from tqd_probe.scoring.visual import frame_components


def test_noise_is_measured_in_levels():
    flat = np.full((120, 160), 128.0)
    rng = stream(1, "test-noise")
    for deviation in (2, 8, 20):
        noisy = np.rint(flat + rng.normal(0, deviation, flat.shape)).astype(np.uint8)
        assert frame_components(noisy)["noise"] == pytest.approx(deviation, rel=0.1)
    assert frame_components(texture(120, 160))["noise"] < 6
    # Blur leaves nothing of noise, whatever else it does.
    smooth = cv2.GaussianBlur(texture(120, 160), (0, 0), 2)
    assert frame_components(smooth)["noise"] < 0.5


def test_blocks_on_the_codec_grid_are_seen_and_others_are_not():
    image = texture(128, 128)
    plain = frame_components(image)["blocks"]
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 8])
    coded = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    assert plain < 0.1
    assert frame_components(coded)["blocks"] > plain + 0.2


def test_detail_falls_with_every_blur_and_ignores_contrast():
    image = texture(200, 200)
    found = [
        frame_components(cv2.GaussianBlur(image, (0, 0), s) if s else image)["detail"]
        for s in (0, 1, 2, 4)
    ]
    assert all(a > b + 0.3 for a, b in pairwise(found))
    pale = (128 + (image.astype(np.float32) - 128) / 2).astype(np.uint8)
    assert frame_components(pale)["detail"] == pytest.approx(found[0], abs=0.3)
