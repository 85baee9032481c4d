import math
from dataclasses import replace

import numpy as np
import pytest
from degraded_clips import CLIPS, SHAPE, order

from tqd_probe.clips.degradations import (
    Degradation,
)
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import VideoClip, write_video
from tqd_probe.core.errors import BadClip, InputError


@pytest.mark.parametrize("frames", [17, 33, 49])
@pytest.mark.parametrize("severity", range(1, 6))
def test_freeze_holds_the_stated_share(severity, frames):
    share = (0.2, 0.4, 0.6, 0.8, 1.0)[severity - 1]
    length = math.floor(share * frames + 0.5)
    starts = set()
    for seed in range(8):
        shown = order("freeze", severity, frames, seed)
        still = [i for i in range(1, frames) if shown[i] == shown[i - 1]]
        assert len(still) == length - 1
        start = still[0] - 1
        assert still == list(range(start + 1, start + length))  # one hold
        assert shown[start : start + length] == [start] * length  # of its first frame
        moving = [i for i in range(frames) if not start <= i < start + length]
        assert [shown[i] for i in moving] == moving
        starts.add(start)
    assert starts == {0} if severity == 5 else len(starts) > 1


def test_freeze_always_holds_something():
    assert len(set(order("freeze", 1, 5))) == 4  # a fifth of 5 frames would be none


@pytest.mark.parametrize(("severity", "length"), list(enumerate((2, 3, 4, 6, 8), 1)))
def test_hold_is_exact(severity, length):
    assert order("hold", severity, 17) == [i // length * length for i in range(17)]


@pytest.mark.parametrize(("severity", "window"), list(enumerate((2, 4, 6, 8, 17), 1)))
def test_shuffle_permutes_inside_windows(severity, window):
    for seed in range(10):
        shown = order("shuffle", severity, 17, seed)
        assert sorted(shown) == list(range(17))
        for start in range(0, 17, window):
            part = shown[start : start + window]
            ordered = list(range(start, min(start + window, 17)))
            assert sorted(part) == ordered
            assert part != ordered or len(part) == 1


@pytest.mark.parametrize("severity", range(1, 6))
def test_slow_scene_is_rendered_at_a_smaller_stride(severity):
    factor = (1.25, 1.5, 2, 3, 4)[severity - 1]
    video = Degradation("slow", severity).apply(CLIPS[0], SHAPE, 0)
    rendered = CLIPS[0].read(replace(SHAPE, fps=16 * factor))
    np.testing.assert_array_equal(video, rendered)
    golden = CLIPS[0].read(SHAPE)
    if factor == int(factor):  # every factor-th slow frame is a golden one
        kept = video[:: int(factor)]
        np.testing.assert_array_equal(kept, golden[: len(kept)])
    motion = [np.abs(np.diff(v.astype(int), axis=0)).mean() for v in (video, golden)]
    assert motion[0] < motion[1]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    path = tmp_path_factory.mktemp("degradations") / "real.mp4"
    source = ClipShape(frames=40, height=80, width=96, fps=32)
    write_video(path, CLIPS[0].read(source), 32)
    return VideoClip("real", "a scene", path)


@pytest.mark.parametrize("severity", range(1, 6))
def test_slow_video_shows_source_frames_only(real, severity):
    factor = (1.25, 1.5, 2, 3, 4)[severity - 1]
    video = Degradation("slow", severity).apply(real, SHAPE, 0)
    source = real.read(replace(SHAPE, frames=40, fps=32))  # stride 1: every frame
    numbers = np.ceil(np.arange(17) * 2 / factor - 0.5 - 1e-9).astype(int)
    np.testing.assert_array_equal(video, source[numbers])
    assert len(np.unique(numbers)) == (17 if factor <= 2 else numbers[-1] + 1)


def find_shifts(clip, degradation, shape):
    """Recover the crop offsets of a jittered clip from its pixels."""
    margin = math.ceil(degradation.amount * shape.short_side)
    height, width = shape.height + 2 * margin, shape.width + 2 * margin
    large = clip.read(replace(shape, height=height, width=width))
    shifts = []
    for frame, whole in zip(degradation.apply(clip, shape, 0), large):
        found = [
            (top - margin, left - margin)
            for top in range(2 * margin + 1)
            for left in range(2 * margin + 1)
            if np.array_equal(
                frame, whole[top : top + shape.height, left : left + shape.width]
            )
        ]
        assert len(found) == 1
        shifts += found
    return np.array(shifts)


@pytest.mark.parametrize("severity", range(1, 6))
def test_jitter_shifts_by_the_stated_amplitude(severity):
    amplitude = (0.008, 0.016, 0.03, 0.045, 0.06)[severity - 1] * 64
    shape = replace(SHAPE, frames=200)
    degradation = Degradation("jitter", severity)
    shifts = find_shifts(CLIPS[0], degradation, shape)
    assert math.floor(amplitude) <= np.abs(shifts).max() <= math.ceil(amplitude)
    # Uniform in +-amplitude: the mean is 0 and the mean distance half the amplitude.
    assert np.abs(shifts).mean() == pytest.approx(amplitude / 2, rel=0.15)
    assert np.abs(shifts.mean(axis=0)).max() < amplitude / 4
    assert abs(np.corrcoef(shifts[1:].ravel(), shifts[:-1].ravel())[0, 1]) < 0.2


def test_jitter_never_stands_still():
    short = replace(SHAPE, frames=2)
    for index in range(12):
        shifts = find_shifts(synthetic_clip(index), Degradation("jitter", 1), short)
        assert (shifts[0] != shifts[1]).any()


def test_jitter_of_a_video_needs_room(real):
    shifts = find_shifts(real, Degradation("jitter", 5), SHAPE)
    assert 2 <= np.abs(shifts).max() <= 4
    with pytest.raises(InputError) as error:
        Degradation("jitter", 5).apply(real, replace(SHAPE, height=76, width=76), 0)
    assert "real: jitter" in str(error.value)
    assert "86 x 86" in str(error.value)
    assert "leave jitter out" in str(error.value)
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, BadClip)  # the clip itself is good


def test_one_frame_passes_through_motion():
    for name in ("freeze", "hold", "shuffle"):
        assert order(name, 3, 1) == [0]
