import math

import numpy as np
import pytest
from video_files import encode, numbered, numbers, one_line

from tqd_probe.clips.decode import decode_frames, decode_size
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import BadClip, ClipTooSmall


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    encode(path, numbered(20))
    return path


def test_the_nearest_frames_are_decoded(video):
    shape = ClipShape(frames=4, height=32, width=64, fps=8)
    found, interlaced = decode_frames(video, shape, 1.0)
    assert numbers(found) == [0, 2, 4, 6]
    assert not interlaced
    assert numbers(decode_frames(video, shape, 2.0)[0]) == [0, 1, 2, 3]


def test_length_and_size_are_read_from_one_frame(video, tmp_path):
    assert decode_size(video) == (20 / 16, 32, 64)
    live = tmp_path / "live.mkv"  # of a live stream: no length is stated
    encode(live, numbered(4), muxer={"live": "1"})
    seconds, height, width = decode_size(live)
    assert (height, width) == (32, 64)
    assert seconds == math.inf or seconds == pytest.approx(0.25, abs=0.07)


def test_clips_that_do_not_fit_are_refused(video):
    with pytest.raises(ClipTooSmall) as error:
        decode_frames(video, ClipShape(4, 48, 64, 8), 1.0)
    one_line(error, video, "32 x 64 pixels", "wanted 48 x 64", "--height/--width")
    with pytest.raises(BadClip) as error:
        decode_frames(video, ClipShape(40, 32, 64, 16), 1.0)
    one_line(error, video, "length: ends at 1.250 s", "--frames")


def test_pixels_are_cropped_at_the_centre_and_shrunk(tmp_path):
    frames = np.zeros((4, 32, 96, 3), np.uint8)
    frames[:, :, 32:64] = 200
    encode(tmp_path / "a.mp4", frames)
    found, _ = decode_frames(tmp_path / "a.mp4", ClipShape(2, 16, 16, 16), 1.0)
    assert found.shape == (2, 16, 16, 3)
    assert abs(found.mean() - 200) < 4
