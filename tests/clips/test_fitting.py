import numpy as np
import pytest

from tqd_probe.clips.fitting import describe_misfits, largest_shape
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import VideoClip, write_video
from tqd_probe.core.errors import InputError

WANTED = ClipShape(17, 64, 64, 16)


def check(shape):
    """A model that takes 4 n + 1 frames and multiples of 16 pixels."""
    if (shape.frames - 1) % 4 or shape.height % 16 or shape.width % 16:
        raise InputError("not taken")


def test_all_misfits_are_counted_and_what_would_fit_is_said(tmp_path):
    sizes = {"good": (17, 64, 64), "short": (10, 64, 64), "small": (17, 48, 60)}
    sizes["both"] = (12, 50, 64)
    clips = [synthetic_clip(0)]
    for name, (frames, height, width) in sizes.items():
        path = tmp_path / f"{name}.mp4"
        write_video(path, np.zeros((frames, height, width, 3), np.uint8), 16)
        clips.append(VideoClip(name, "x", path))
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    clips.append(VideoClip("torn", "x", tmp_path / "torn.mp4"))
    assert describe_misfits(clips, WANTED, check) == (
        " (of 4 clips 2 too short and 2 too small for 17 x 64 x 64 at 16 fps; all fit"
        " --frames 9 --height 48 --width 48)"
    )
    fitting = ClipShape(9, 48, 48, 16)
    for clip in clips[1:5]:
        assert clip.read(fitting).shape == (9, 48, 48, 3)
    with pytest.raises(InputError):
        clips[2].read(ClipShape(13, 48, 48, 16))
    assert describe_misfits(clips, fitting, check) == ""


def test_the_largest_shape_keeps_the_proportions():
    wide = ClipShape(81, 480, 832, 16)
    assert largest_shape([(9, 720, 1280)], wide, check) == wide
    found = largest_shape([(9, 240, 1280), (4, 720, 1280)], wide, check)
    assert found == ClipShape(61, 240, 416, 16)
    assert largest_shape([(9, 12, 1280)], wide, check) is None
    assert largest_shape([(0, 720, 1280)], wide, check) is None
