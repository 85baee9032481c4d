import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tqd_probe.clips.degradations import (
    EFFECTS,
    Degradation,
    describe,
    parse_degradations,
)
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import VideoClip, write_video
from tqd_probe.core.errors import BadClip, InputError

SHAPE = ClipShape(frames=17, height=64, width=64, fps=16)
EVERY = [
    Degradation(name, severity)
    for name, effect in EFFECTS.items()
    for severity in range(1, len(effect.amounts) + 1)
]
VISUAL = [name for name, effect in EFFECTS.items() if effect.kind == "visual_degraded"]
CLIPS = [synthetic_clip(index) for index in range(4)]


@dataclass(frozen=True)
class ArrayClip:
    """A clip whose pixels are given."""

    video: np.ndarray
    id: str = "array"
    caption: str = "an array"

    def identity(self):
        return self.id

    def read(self, shape, slow=1.0):
        assert self.video.shape == (shape.frames, shape.height, shape.width, 3)
        return self.video.copy()

    @property
    def shape(self):
        return ClipShape(*self.video.shape[:3], fps=16)


def numbered(frames):
    """A clip whose frame i is uniform grey of level i."""
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return ArrayClip(np.broadcast_to(levels, (frames, 8, 8, 3)).copy())


def order(name, severity, frames, seed=0):
    clip = numbered(frames)
    out = Degradation(name, severity).apply(clip, clip.shape, seed)
    assert (out == out[:, :1, :1, :1]).all()
    return out[:, 0, 0, 0].tolist()


def difference(video, other):
    return np.abs(video.astype(float) - other).mean()


@pytest.mark.parametrize("degradation", EVERY, ids=str)
def test_shape_type_and_determinism(degradation):
    first = degradation.apply(CLIPS[0], SHAPE, 0)
    assert first.shape == (17, 64, 64, 3)
    assert first.dtype == np.uint8
    for other in (degradation, Degradation("noise", 2)):  # other draws in between
        other.apply(CLIPS[1], SHAPE, 0)
    np.testing.assert_array_equal(degradation.apply(CLIPS[0], SHAPE, 0), first)
    random = {"noise", "shuffle", "jitter", "freeze"} - (
        {"freeze"} if degradation.severity == 5 else set()
    )
    seeds = [degradation.apply(CLIPS[0], SHAPE, seed) for seed in range(1, 6)]
    differ = [not np.array_equal(first, other) for other in seeds]
    if degradation == Degradation("shuffle", 1):
        assert not any(differ)  # two frames have one other order
    else:
        assert any(differ) == (degradation.name in random)


def test_clips_of_equal_pixels_draw_by_their_id():
    video = np.full((9, 16, 16, 3), 128, np.uint8)
    one, two = ArrayClip(video, id="one"), ArrayClip(video, id="two")
    noise = Degradation("noise", 3)
    assert difference(noise.apply(one, one.shape, 0), video) > 10
    assert (
        difference(noise.apply(one, one.shape, 0), noise.apply(two, one.shape, 0)) > 10
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
    numbers = np.floor(np.arange(17) * 2 / factor + 1e-9).astype(int)
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


def test_controls():
    golden = CLIPS[0].read(SHAPE)
    same = Degradation("identity", 1).apply(CLIPS[0], SHAPE, 0)
    np.testing.assert_array_equal(same, golden)
    back = Degradation("reverse", 1).apply(CLIPS[0], SHAPE, 0)
    np.testing.assert_array_equal(back, golden[::-1])
    assert Degradation("reverse", 1).kind == "control"


def test_one_frame_passes_through_motion():
    for name in ("freeze", "hold", "shuffle"):
        assert order(name, 3, 1) == [0]


def test_parse():
    found = parse_degradations("blur:3, freeze:5")
    assert found == (Degradation("blur", 3), Degradation("freeze", 5))
    assert [str(d) for d in found] == ["blur:3", "freeze:5"]
    assert [d.kind for d in found] == ["visual_degraded", "motion_degraded"]
    assert parse_degradations(",".join(map(str, EVERY))) == tuple(EVERY)
    assert len(EVERY) == 11 * 5


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("blurr:3", ["'blurr'", *EFFECTS]),
        ("", ["not known", "blur"]),
        ("blur:3,", ["not known", "blur"]),
        ("blur", ["'blur'", "severity is missing", "blur:1 to blur:5"]),
        ("blur:0", ["blur:0", "1..5", "blur:3"]),
        ("blur:6", ["blur:6", "1..5", "blur:3"]),
        ("blur:-1", ["blur:-1", "whole number 1..5"]),
        ("blur:2.5", ["blur:2.5", "whole number 1..5"]),
        ("blur:", ["blur:", "whole number"]),
        ("blur:1:2", ["blur:1:2", "whole number"]),
        ("reverse:6", ["reverse:6", "1..5", "reverse:3"]),
        ("blur:3,blur:3", ["blur:3", "twice"]),
    ],
)
def test_parse_faults(text, parts):
    with pytest.raises(InputError) as error:
        parse_degradations(text)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value), str(error.value)


def test_constructor_checks_too():
    with pytest.raises(InputError, match="not known"):
        Degradation("fog", 1)
    with pytest.raises(InputError, match=r"1\.\.5"):
        Degradation("blur", 6)


def test_table_lists_every_degradation():
    lines = describe().splitlines()
    assert [line.split()[0] for line in lines] == list(EFFECTS)
    assert "0.006, 0.012, 0.02, 0.03, 0.045" in lines[0]
