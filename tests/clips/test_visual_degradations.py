import math
from dataclasses import replace

import numpy as np
import pytest
from degraded_clips import CLIPS, SHAPE, VISUAL, ArrayClip, difference

from tqd_probe.clips.degradations import (
    Degradation,
)


@pytest.mark.parametrize("name", VISUAL)
def test_visual_severities_are_monotone(name):
    golden = np.stack([clip.read(SHAPE) for clip in CLIPS])
    changes = []
    for severity in range(1, 6):
        degradation = Degradation(name, severity)
        assert degradation.kind == "visual_degraded"
        video = np.stack([degradation.apply(clip, SHAPE, 0) for clip in CLIPS])
        changes.append(difference(video, golden))
    assert changes[0] > 0.3
    assert (np.diff(changes) > 0).all(), changes
    assert changes[4] > 2 * changes[0]


@pytest.mark.parametrize("name", VISUAL)
def test_visual_degradations_keep_the_brightness(name):
    for severity in (1, 3, 5):
        video = Degradation(name, severity).apply(CLIPS[0], SHAPE, 0)
        shift = video.astype(float).mean() - CLIPS[0].read(SHAPE).mean()
        # The coarsest quantiser of a codec may lose a little; one level in 128.
        assert abs(shift) < (2.0 if severity == 5 else 1.0), severity


@pytest.mark.parametrize("severity", range(1, 6))
def test_blur_has_the_stated_sigma(severity):
    sigma = (0.006, 0.012, 0.02, 0.03, 0.045)[severity - 1] * 64
    # The derivative of a blurred edge is the blur's line profile; 255 levels high, it
    # is measured finely where a blurred point would vanish in the rounding.
    for axis in (1, 2):
        video = np.zeros((1, 64, 96, 3), np.uint8)
        half = [slice(None)] * 4
        half[axis] = slice(video.shape[axis] // 2, None)
        video[tuple(half)] = 255
        clip = ArrayClip(video)
        out = Degradation("blur", severity).apply(clip, clip.shape, 0).astype(float)
        profile = np.diff(np.moveaxis(out[0, ..., 0], axis - 1, 0)[:, 20]) / 255
        place = np.arange(len(profile))
        mean = (profile * place).sum()
        variance = (profile * (place - mean) ** 2).sum()
        assert profile.sum() == pytest.approx(1)
        assert math.sqrt(variance) == pytest.approx(sigma, rel=0.04)
    flat = ArrayClip(np.full((2, 64, 64, 3), 77, np.uint8))  # borders are reflected
    assert (Degradation("blur", severity).apply(flat, flat.shape, 0) == 77).all()


def test_blur_is_round_and_per_frame():
    video = np.zeros((3, 64, 64, 3), np.uint8)
    video[1, 28:36, 28:36] = 255
    clip = ArrayClip(video)
    out = Degradation("blur", 5).apply(clip, clip.shape, 0)
    assert (out[[0, 2]] == 0).all()
    np.testing.assert_array_equal(out[1], out[1].transpose(1, 0, 2))
    np.testing.assert_array_equal(out[1], out[1, ::-1])


@pytest.mark.parametrize("severity", range(1, 6))
def test_noise_has_the_stated_sigma_and_is_independent(severity):
    sigma = (5, 10, 20, 30, 45)[severity - 1]
    clip = ArrayClip(np.full((9, 64, 64, 3), 128, np.uint8))
    noise = Degradation("noise", severity).apply(clip, clip.shape, 0) - 128.0
    assert noise.std() == pytest.approx(sigma, rel=0.02)  # 45: 0.5 % is clipped
    assert abs(noise.mean()) < 4 * sigma / math.sqrt(noise.size)
    for one, two in (
        (noise[1:], noise[:-1]),
        (noise[:, 1:], noise[:, :-1]),
        (noise[:, :, 1:], noise[:, :, :-1]),
        (noise[..., 1:], noise[..., :-1]),
    ):
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.02


def test_noise_of_two_severities_differs_in_strength_alone():
    clip = ArrayClip(np.full((9, 32, 32, 3), 128, np.uint8))
    mild, strong = (
        Degradation("noise", severity).apply(clip, clip.shape, 0) - 128.0
        for severity in (2, 3)
    )
    np.testing.assert_allclose(strong, 2 * mild, atol=1.5)


def test_compress_takes_odd_sizes():
    clip = ArrayClip(CLIPS[0].read(replace(SHAPE, height=33, width=47)))
    out = Degradation("compress", 1).apply(clip, clip.shape, 0)
    assert out.shape == clip.video.shape
    assert 0 < difference(out, clip.video) < 6


@pytest.mark.parametrize(("severity", "factor"), [(3, 2), (5, 4)])
def test_downscale_removes_the_stated_detail(severity, factor):
    x = np.mgrid[:64, :64][1]
    for period, survives in ((factor, False), (8 * factor, True)):
        wave = 128 + 60 * np.cos(2 * np.pi * (x + 0.5) / period)
        video = np.repeat(wave[None, ..., None], 3, axis=3).round().astype(np.uint8)
        clip = ArrayClip(video)
        out = Degradation("downscale", severity).apply(clip, clip.shape, 0)
        kept = out[..., 8:-8, 8:-8, :].std() / max(video.std(), 1)
        assert (kept > 0.85) if survives else (kept < 0.05)
