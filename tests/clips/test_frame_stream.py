from types import SimpleNamespace

import numpy as np
import pytest

from tqd_probe.clips.frame_stream import FrameStream
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import BadClip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Twelve grey frames at 30 fps, frame n of level 20 n."""
    path = tmp_path_factory.mktemp("stream") / "a.mp4"
    levels = 20 * np.arange(12, dtype=np.uint8)[:, None, None, None]
    write_video(path, np.broadcast_to(levels, (12, 32, 48, 3)).copy(), 30)
    return path


@pytest.mark.parametrize(
    ("fps", "limit", "numbers"),
    [
        (None, None, range(12)),
        (None, 2, range(2)),
        (15, None, range(0, 12, 2)),
        (7.5, None, range(0, 12, 4)),
        (15, 3, range(0, 6, 2)),
        (16, None, [0, 2, 4, 6, 7, 9, 11]),
        (60, 5, range(3)),  # a frame that serves two instants is given once
    ],
)
def test_the_nearest_frames_up_to_the_limit(path, fps, limit, numbers):
    with FrameStream(path, fps, limit) as stream:
        frames = list(stream)
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(numbers)
    assert frames[0].shape == (32, 48, 3)
    assert stream.times == pytest.approx([number / 30 for number in numbers])
    assert abs(stream.expected - len(numbers)) <= (2 if fps == 60 else 1)


def test_a_frame_stamped_as_the_one_before_is_left_out(path, monkeypatch):
    with FrameStream(path) as stream:
        shown = [SimpleNamespace(time=t, rgb=lambda: None) for t in (0, 0, 1, 1, 2)]
        monkeypatch.setattr(stream._reader, "frames", lambda: iter(shown))
        assert len(list(stream)) == 3
        assert stream.times == [0, 1, 2]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadClip, match="no such file"):
        FrameStream(tmp_path / "absent.mp4")
