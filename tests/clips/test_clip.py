"""Every source's clips offer what `Clip` promises, at any shape and speed."""

import numpy as np
import pytest

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import VideoClip

SHAPE = ClipShape(frames=7, height=48, width=64, fps=15)


@pytest.fixture(params=["synthetic", "video"])
def two_clips(request, path, streamable):
    if request.param == "synthetic":
        return synthetic_clip(0), synthetic_clip(1)
    return VideoClip("a", "one", path), VideoClip("b", "two", streamable)


def test_ids_identities_and_pixels(two_clips):
    one, other = two_clips
    assert one.id != other.id
    assert one.identity() == one.identity() != other.identity()
    assert one.caption.strip()
    video = one.read(SHAPE)
    assert video.shape == (7, 48, 64, 3)
    assert video.dtype == np.uint8
    np.testing.assert_array_equal(one.read(SHAPE), video)


def test_twice_as_slow_shows_every_other_frame_at_the_same_time(two_clips):
    clip, _ = two_clips
    slow = clip.read(SHAPE, slow=2)
    np.testing.assert_array_equal(slow[::2], clip.read(SHAPE)[:4])
