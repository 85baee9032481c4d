import numpy as np

from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.degraded_clip import DegradedClip, SlowedClip
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip

SHAPE = ClipShape(9, 32, 32, 16)
CLIP = synthetic_clip(0, 3)


def test_a_degraded_clip_is_read_as_the_degradation_leaves_it():
    blur = Degradation("blur", 3)
    clip = DegradedClip(CLIP, blur, 7)
    assert (clip.id, clip.caption) == (CLIP.id, CLIP.caption)
    assert clip.identity() == f"{CLIP.identity()} blur:3 7"
    np.testing.assert_array_equal(clip.read(SHAPE), blur.apply(CLIP, SHAPE, 7))


def test_what_reads_slower_comes_to_the_source():
    slow = Degradation("slow", 3)  # half speed
    np.testing.assert_array_equal(
        DegradedClip(CLIP, slow, 0).read(SHAPE, slow=2.0), CLIP.read(SHAPE, slow=4.0)
    )
    np.testing.assert_array_equal(
        SlowedClip(CLIP, 2.0).read(SHAPE, slow=1.5), CLIP.read(SHAPE, slow=3.0)
    )
    assert SlowedClip(CLIP, 2.0).identity() != CLIP.identity()


def test_blurred_and_slow_is_slow_and_blurred():
    """Blur treats frames one by one, so that the order does not matter."""
    blur, slow = Degradation("blur", 4), Degradation("slow", 4)
    one = Degradation("slow", 4, blur).apply(CLIP, SHAPE, 0)
    other = Degradation("blur", 4, slow).apply(CLIP, SHAPE, 0)
    np.testing.assert_array_equal(one, other)
    golden = CLIP.read(SHAPE).astype(int)
    moved = np.abs(np.diff(one.astype(int), axis=0)).mean()
    assert moved < 0.6 * np.abs(np.diff(golden, axis=0)).mean()
    assert np.abs(one - slow.apply(CLIP, SHAPE, 0).astype(int)).mean() > 1
