import cv2
import numpy as np
import pytest
from textures import FPS, FRAMES, pan, parts_of, texture

from tqd_probe.clips import motion_degradations as motion
from tqd_probe.clips import visual_degradations as visual
from tqd_probe.core.errors import BadClip
from tqd_probe.core.rng import stream
from tqd_probe.scoring.proxies import MIN_FRAMES, motion_proxy, visual_proxy


def test_still_clip_has_no_motion():
    parts = parts_of(pan(2)[:1].repeat(FRAMES, axis=0))
    assert parts["flow"] < 0.01
    assert parts["duplicates"] == 1
    assert motion_proxy(parts) == 0


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
