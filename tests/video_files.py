"""Video files of tests, and their frames as PyAV itself decodes them."""

from pathlib import Path

import av
import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import VideoClip

SOURCE = ClipShape(frames=40, height=96, width=128, fps=30)
WANTED = ClipShape(frames=17, height=64, width=64, fps=16)


def raw(path):
    """What PyAV itself decodes, without any code of ours."""
    with av.open(str(path)) as container:
        return np.stack(
            [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        )


def clip(path):
    return VideoClip("clip", "a caption", Path(path))


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text, text
