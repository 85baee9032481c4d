"""A video of a synthetic clip."""

import av
import pytest
from video_files import SOURCE

from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video


@pytest.fixture(scope="module")
def frames():
    """Frames of the video [40, 96, 128, 3]."""
    return synthetic_clip(0).read(SOURCE)


@pytest.fixture(scope="module")
def path(frames, tmp_path_factory):
    """The video as a file at 30 fps."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, frames, 30)
    return path


@pytest.fixture(scope="module")
def streamable(frames, tmp_path_factory):
    """A file whose index comes first, so that it opens when it is cut short."""
    path = tmp_path_factory.mktemp("video") / "streamable.mp4"
    options = {"movflags": "faststart"}
    with av.open(str(path), "w", container_options=options) as output:
        stream = output.add_stream("libx264", rate=30, options={"crf": "10", "g": "8"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    return path
