import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip

SHAPE = ClipShape(frames=17, height=64, width=64, fps=16)
ONE_OBJECT = [c for c in map(synthetic_clip, range(24)) if len(c.objects) == 1]


def centroids(clip, shape):
    """Mean (x, y) in pixels of what differs from the empty scene, per frame."""
    empty = replace(clip, objects=()).read(shape).astype(int)
    mask = np.abs(clip.read(shape) - empty).max(axis=-1) > 4
    y, x = np.mgrid[: shape.height, : shape.width] + 0.5
    weight = mask.sum(axis=(1, 2))
    return np.stack(
        [(mask * x).sum(axis=(1, 2)) / weight, (mask * y).sum(axis=(1, 2)) / weight], 1
    )


@pytest.mark.parametrize("clip", ONE_OBJECT[:10], ids=lambda clip: clip.id)
def test_object_moves_with_its_stated_velocity(clip):
    places = centroids(clip, SHAPE)
    time = np.arange(17) / 16
    slope = np.polyfit(time, places, 1)[0] / 64  # shorter sides per second
    np.testing.assert_allclose(slope, clip.objects[0].velocity, atol=0.012)
    words = clip.caption.split(" moving ")[1].split(" over ")[0]
    across, down = slope
    assert ("right" in words) == (across > 0.1)
    assert ("left" in words) == (across < -0.1)
    assert ("down" in words) == (down > 0.1)
    assert ("up" in words) == (down < -0.1)


def test_slow_motion_is_the_scene_at_a_smaller_stride():
    clip = ONE_OBJECT[0]
    fast = clip.read(replace(SHAPE, fps=32))
    np.testing.assert_array_equal(clip.read(SHAPE, slow=2), fast)
    slope = np.polyfit(np.arange(17) / 16, centroids(clip, SHAPE), 1)[0]
    slow_places = centroids(clip, replace(SHAPE, fps=32))
    slow_slope = np.polyfit(np.arange(17) / 16, slow_places, 1)[0]
    np.testing.assert_allclose(slow_slope, slope / 2, atol=0.6)


def test_two_sizes_show_the_same_scene():
    for clip in ONE_OBJECT[:4]:
        small = clip.read(SHAPE)
        large = clip.read(replace(SHAPE, height=128, width=128))
        shrunk = [cv2.resize(f, (64, 64), interpolation=cv2.INTER_AREA) for f in large]
        error = np.abs(np.stack(shrunk).astype(int) - small)
        assert error.mean() < 1.0
        # Grain of 4 pixels is sampled at 64 and averaged at 128, hence some error.
        assert np.abs(small.astype(int) - small[::-1]).mean() > 7 * error.mean()


def test_wide_frames_extend_the_scene():
    clip = ONE_OBJECT[0]
    wide = clip.read(replace(SHAPE, width=96))
    assert wide.shape == (17, 64, 96, 3)
    np.testing.assert_array_equal(wide[:, :, :64], clip.read(SHAPE))


@pytest.mark.parametrize("index", range(40))
def test_caption_names_what_is_there(index):
    clip = synthetic_clip(index, seed=3)
    parts = re.split(r" and (?=an? )| over ", clip.caption)
    assert len(parts) == len(clip.objects) + 1
    for part, thing in zip(parts, clip.objects):
        expected = f"{thing.colour} {thing.pattern} {thing.shape} moving "
        assert part.split(" ", 1)[1] == expected + thing.direction
    assert parts[-1].split(" ", 1)[1] == f"{clip.background} textured background"
    for article, letter in re.findall(r"\b(an?) (\w)", clip.caption):
        assert (article == "an") == (letter in "aeiou")


def test_both_articles_occur():
    captions = " ".join(synthetic_clip(i).caption for i in range(40))
    assert re.search(r"\ban (orange|olive)", captions)
    assert re.search(r"\ba (red|grey)", captions)


def test_clips_are_reproducible_and_seeds_are_disjoint():
    again = synthetic_clip(7, seed=1)
    first = synthetic_clip(7, seed=1)
    assert first.caption == again.caption
    assert first.identity() == again.identity()
    np.testing.assert_array_equal(first.read(SHAPE), again.read(SHAPE))
    others = [synthetic_clip(7, seed=2), synthetic_clip(8, seed=1)]
    assert len({clip.identity() for clip in [first, *others]}) == 3
    assert len({clip.id for clip in [first, *others]}) == 3
    for other in others:
        assert np.abs(other.read(SHAPE).astype(int) - first.read(SHAPE)).mean() > 5


def test_golden_frames_all_differ():
    for clip in map(synthetic_clip, range(6)):
        video = clip.read(SHAPE).astype(int)
        assert np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3)).min() > 0.5
