from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from video_files import SOURCE, WANTED, clip, one_line, raw

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import VideoClip, write_video
from tqd_probe.core.errors import BadClip, ClipTooSmall, InputError


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".m4v"])
def test_other_containers(suffix, frames, tmp_path):
    write_video(tmp_path / f"a{suffix}", frames[:5], 24000 / 1001)
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)
    assert raw(tmp_path / f"a{suffix}").shape == (5, 96, 128, 3)


def test_write_refuses_what_it_cannot_write(frames, tmp_path):
    with pytest.raises(InputError) as error:
        write_video(tmp_path / "a.gif", frames, 30)
    one_line(error, "a.gif", ".gif", ".mp4")
    with pytest.raises(InputError, match="even sizes"):
        write_video(tmp_path / "a.mp4", frames[:, :95], 30)
    with pytest.raises(InputError, match="uint8"):
        write_video(tmp_path / "a.mp4", frames / 255, 30)
    with pytest.raises(InputError, match="0 frames"):
        write_video(tmp_path / "a.mp4", frames[:0], 30)
    assert list(tmp_path.iterdir()) == []


def test_clip_that_fits_is_untouched(path):
    fits = replace(SOURCE, frames=40)
    np.testing.assert_array_equal(clip(path).read(fits), raw(path))
    np.testing.assert_array_equal(
        clip(path).read(replace(fits, frames=9)), raw(path)[:9]
    )


def test_unfit_sizes_raise_only_when_too_small(path):
    assert clip(path).read(replace(SOURCE, height=96, width=96)).shape[1:3] == (96, 96)
    with pytest.raises(ClipTooSmall) as error:
        clip(path).read(replace(SOURCE, height=98))
    one_line(error, path, "96 x 128", "98 x 128", "--height/--width")


@pytest.mark.parametrize("slow", [1, 1.25, 1.5, 2, 3, 4])
def test_read_takes_the_stated_frames(path, slow):
    wanted = replace(SOURCE, frames=17, fps=16)
    # The nearest of 30 per second; half-way, the earlier.
    expected = raw(path)[np.ceil(np.arange(17) * 30 / 16 / slow - 0.5).astype(int)]
    np.testing.assert_array_equal(clip(path).read(wanted, slow=slow), expected)


def test_centre_crop_and_area_resize_against_numpy(path):
    wanted = ClipShape(frames=17, height=32, width=32, fps=15)
    square = raw(path)[0:34:2, :, 16:112].astype(float)  # 96 x 96 about the centre
    blocks = square.reshape(17, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    difference = np.abs(clip(path).read(wanted) - blocks)
    assert difference.max() <= 0.5 + 1e-6  # rounding alone


def test_identity_is_of_the_contents_and_is_read_once(path, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    one, other = clip(path), VideoClip("other", "words", copy)
    assert one.identity() == other.identity() != clip(__file__).identity()
    copy.unlink()
    assert other.identity() == one.identity()
    with pytest.raises(BadClip, match="no such file"):
        clip(copy).identity()


def test_too_short(frames, tmp_path):
    path = tmp_path / "short.mp4"
    write_video(path, frames[:30], 30)  # 1.00 s, where the last instant is
    with pytest.raises(BadClip) as error:
        clip(path).read(WANTED)
    one_line(error, path, "ends at 1.000 s", "17 frames at 16 fps", "--frames")
    assert clip(path).read(WANTED, slow=2).shape == (17, 64, 64, 3)
    write_video(path, frames[:31], 30)
    assert clip(path).read(WANTED).shape == (17, 64, 64, 3)
