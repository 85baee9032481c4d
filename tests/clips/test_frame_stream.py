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
        (16, None, range(0, 12, 2)),
        (8, None, range(0, 12, 4)),
        (16, 3, range(0, 6, 2)),
        (60, 5, range(5)),
    ],
)
def test_every_kth_frame_up_to_the_limit(path, fps, limit, numbers):
    with FrameStream(path, fps, limit) as stream:
        frames = list(stream)
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(numbers)
    assert frames[0].shape == (32, 48, 3)
    assert stream.expected == len(numbers)
    assert stream.fps == pytest.approx(30 / stream.step)


def test_a_file_with_fewer_frames_than_it_states_is_refused(path, monkeypatch):
    with FrameStream(path) as stream:
        stream._reader.stated_frames = 15
        with pytest.raises(BadClip, match="12 of 15 frames can be decoded"):
            list(stream)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadClip, match="no such file"):
        FrameStream(tmp_path / "absent.mp4")
