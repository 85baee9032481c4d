from itertools import pairwise

import cv2
import numpy as np
import pytest

from tqd_probe.clips import motion_degradations as motion
from tqd_probe.clips import visual_degradations as visual
from tqd_probe.core.errors import BadClip
from tqd_probe.core.rng import stream
from tqd_probe.scoring.proxies import MIN_FRAMES, measure, motion_proxy, visual_proxy
from tqd_probe.scoring.visual import frame_components

SIDE, FRAMES, FPS = 96, 16, 16.0


def texture(height, width, seed=0):
    """Natural-looking texture: noise whose amplitude falls with frequency, 0..255."""
    rng = stream(seed, "test-texture")
    total = np.zeros((height, width), np.float32)
    for deviation in (0.7, 2, 5, 12):
        layer = rng.standard_normal((height, width)).astype(np.float32)
        layer = cv2.GaussianBlur(layer, (0, 0), deviation)
        total += layer / layer.std() * deviation**0.5
    total = 128 + 40 * total / total.std()
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)


def pan(pixels_per_frame, frames=FRAMES):
    """A texture that moves to the left by whole pixels per frame."""
    wide = texture(SIDE, SIDE + pixels_per_frame * frames + 8)
    starts = [n * pixels_per_frame for n in range(frames)]
    return np.stack([cv2.merge([wide[:, s : s + SIDE]] * 3) for s in starts])


def parts_of(video):
    return measure(video, len(video), FPS)


@pytest.mark.parametrize("speed", [1, 2, 4])
def test_flow_is_in_shorter_sides_per_second(speed):
    parts = parts_of(pan(speed))
    assert parts["flow"] == pytest.approx(speed / SIDE * FPS, rel=0.12)
    assert parts["turning"] < 0.1
    assert parts["duplicates"] == 0


def test_still_clip_has_no_motion():
    parts = parts_of(pan(2)[:1].repeat(FRAMES, axis=0))
    assert parts["flow"] < 0.01
    assert parts["duplicates"] == 1
    assert motion_proxy(parts) == 0


def test_duplicates_are_counted_through_noise_and_compression():
    held = motion.hold(pan(2), 4)  # 12 of 15 pairs repeat
    assert parts_of(held)["duplicates"] == pytest.approx(12 / 15)
    rng = stream(0, "test-noise")
    assert parts_of(visual.noise(held, 4, rng))["duplicates"] == pytest.approx(12 / 15)
    assert parts_of(visual.compress(held, 33, FPS))["duplicates"] == pytest.approx(
        12 / 15
    )


@pytest.mark.parametrize(
    "degrade",
    [
        lambda video: motion.freeze(video, 0.6, stream(0, "t")),
        lambda video: motion.hold(video, 4),
        lambda video: motion.shuffle(video, 6, stream(0, "t")),
        lambda video: motion.shuffle(video, np.inf, stream(0, "t")),
        lambda video: video.repeat(2, axis=0)[: len(video)],
    ],
)
def test_motion_degradations_lower_motion_and_leave_the_picture(degrade):
    video = pan(2)
    before, after = parts_of(video), parts_of(degrade(video))
    assert motion_proxy(after) < 0.75 * motion_proxy(before)
    assert visual_proxy(after) == pytest.approx(visual_proxy(before), rel=0.08)


@pytest.mark.parametrize(
    "degrade",
    [
        lambda video: visual.blur(video, 0.02),
        lambda video: visual.noise(video, 20, stream(0, "t")),
        lambda video: visual.compress(video, 38, FPS),
        lambda video: visual.downscale(video, 2),
        lambda video: (128 + (video.astype(np.int16) - 128) // 4).astype(np.uint8),
    ],
)
def test_visual_degradations_lower_the_picture(degrade):
    video = pan(2)
    assert visual_proxy(parts_of(degrade(video))) < 0.9 * visual_proxy(parts_of(video))


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


def test_too_few_frames():
    with pytest.raises(BadClip, match=f"3 at the rate of scoring, {MIN_FRAMES} needed"):
        parts_of(pan(2, 3))


def test_frames_of_any_size():
    for shape in ((16, 16), (20, 300), (33, 17)):
        video = np.stack([cv2.merge([texture(*shape, n)] * 3) for n in range(5)])
        parts = parts_of(video)
        assert 0 <= motion_proxy(parts) <= 1
        assert 0 <= visual_proxy(parts) <= 1
    with pytest.raises(BadClip, match="8 x 300 pixels, 16 needed"):
        parts_of(np.zeros((5, 8, 300, 3), np.uint8))
