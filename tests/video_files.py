"""Video files of tests, and their frames as PyAV itself decodes them."""

from fractions import Fraction
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


def numbered(count, height=32, width=64):
    """Frames that say their numbers in eight bars [count, height, width, 3]."""
    bits = np.arange(count)[:, None] >> np.arange(8) & 1
    bars = np.where(bits, 235, 16).astype(np.uint8).repeat(width // 8, axis=1)
    return np.broadcast_to(bars[:, None, :, None], (count, height, width, 3)).copy()


def numbers(video):
    """The numbers in frames, at any size."""
    columns = np.array_split(video.mean(axis=(1, 3)), 8, axis=1)
    bits = np.stack([part.mean(axis=1) > 125 for part in columns], axis=1)
    return (bits << np.arange(8)).sum(axis=1).tolist()


def encode(
    path,
    frames,
    rate=16,
    stamps=None,
    base=None,
    codec="libx264",
    pixels="yuv420p",
    container=None,
    options=None,
    muxer=None,
    setup=None,
):
    """Write a file with PyAV alone; `stamps` in ticks of `base` seconds."""
    base = base or 1 / Fraction(rate)
    coder = {"crf": "10", "bf": "0"} if codec == "libx264" else {}
    with av.open(str(path), "w", format=container, options=muxer or {}) as output:
        stream = output.add_stream(
            codec, rate=rate, options={**coder, **(options or {})}
        )
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = base
        stream.codec_context.thread_count = 1
        if setup is not None:
            setup(stream)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            # One thread: with several, the converter's bytes are not always the same.
            frame = frame.reformat(format=pixels, threads=1)
            frame.pts = index if stamps is None else stamps[index]
            frame.time_base = base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path
