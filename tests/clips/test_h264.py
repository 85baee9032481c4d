import av
import numpy as np
from video_files import raw

from tqd_probe.clips.video import write_video


def test_written_video_is_near_lossless(path, frames):
    decoded = raw(path)
    assert decoded.shape == frames.shape
    error = decoded.astype(int) - frames
    # Chroma at half resolution and 8-bit limited range cost more than the codec.
    assert np.abs(error).mean() < 1.5
    assert abs(error.mean()) < 0.8
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 30
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"


def test_written_bytes_are_reproducible_and_whole(path, frames, tmp_path):
    again = tmp_path / "new" / "again.mp4"
    write_video(again, frames, 30)
    assert again.read_bytes() == path.read_bytes()
    assert [p.name for p in again.parent.iterdir()] == ["again.mp4"]
    # x264 notes its threads in the stream; small frames have one in any case.
    write_video(again, np.zeros((2, 480, 480, 3), np.uint8), 30)
    assert b" threads=1 lookahead_threads=1 " in again.read_bytes()


def test_written_colours_are_averaged_not_picked(tmp_path):
    stripes = np.zeros((2, 32, 32, 3), np.uint8)
    stripes[:, :, 0::2], stripes[:, :, 1::2] = (200, 60, 60), (60, 60, 200)
    write_video(tmp_path / "a.mp4", stripes, 30)
    mean = raw(tmp_path / "a.mp4").mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, (130, 60, 130), atol=4)
