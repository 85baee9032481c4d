import numpy as np

from tqd_probe.clips.shape import ClipShape


def test_times_short_side_and_text():
    shape = ClipShape(frames=5, height=64, width=48, fps=16)
    np.testing.assert_array_equal(shape.times(), np.arange(5) / 16)
    np.testing.assert_array_equal(shape.times(slow=2), np.arange(5) / 32)
    assert shape.short_side == 48
    assert str(shape) == "5 x 64 x 48 at 16 fps"
