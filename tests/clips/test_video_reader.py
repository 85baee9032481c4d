from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import SOURCE, WANTED, clip, one_line, raw

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import BadClip


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_of_the_file_is_honoured(frames, tmp_path, degrees, turns):
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write rotations")
        stream.set_display_rotation(degrees)
        for image in frames[:3]:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    expected = np.rot90(raw(path), turns, axes=(1, 2))
    height, width = expected.shape[1:3]
    got = clip(path).read(ClipShape(frames=3, height=height, width=width, fps=30))
    np.testing.assert_array_equal(got, expected)


def test_missing_file(tmp_path):
    with pytest.raises(BadClip) as error:
        clip(tmp_path / "absent.mp4").read(WANTED)
    one_line(error, tmp_path / "absent.mp4", "no such file", "path")


@pytest.mark.parametrize("contents", [b"", b"these are words\n" * 50])
def test_not_a_video(contents, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(contents)
    with pytest.raises(BadClip) as error:
        clip(path).read(WANTED)
    one_line(error, path, "cannot be decoded", "replace")


def test_names_are_never_addresses(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data:clip.mp4").write_bytes(path.read_bytes())
    assert clip("data:clip.mp4").read(WANTED).shape == (17, 64, 64, 3)
    with pytest.raises(BadClip, match="no such file"):
        clip("http://127.0.0.1:9/a.mp4").read(WANTED)


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 4096), np.float32), format="fltp", layout="mono"
        )
        sound.rate = 16000
        output.mux(stream.encode(sound))
        output.mux(stream.encode())
    with pytest.raises(BadClip) as error:
        clip(path).read(WANTED)
    one_line(error, path, "no video stream")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_before_its_index(path, tmp_path, share):
    data = path.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadClip) as error:
        clip(cut).read(WANTED)
    one_line(error, cut, "cannot be decoded")


def packets(path):
    """Place and size in bytes of every coded frame of a file."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


@pytest.mark.parametrize("inside", [True, False])
def test_cut_in_its_frames(streamable, tmp_path, capfd, inside):
    place, size = packets(streamable)[20]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(streamable.read_bytes()[: place + inside * (size // 2)])
    with pytest.raises(BadClip) as error:
        clip(cut).read(WANTED)
    one_line(error, cut, "replace")
    if not inside:  # FFmpeg sees nothing wrong, the file's own index does
        one_line(error, "20 of 40 frames", "33 are needed")
    # The frames before the cut are whole, and no more than they are decoded.
    few = replace(SOURCE, frames=8)
    np.testing.assert_array_equal(clip(cut).read(few), raw(streamable)[:8])
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_damaged_pixels_are_not_concealed(streamable, tmp_path, capfd):
    place, size = packets(streamable)[10]
    data = bytearray(streamable.read_bytes())
    data[place + size // 2] ^= 0x5A  # one byte
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(bytes(data))
    assert raw(bad).shape == (40, 96, 128, 3)  # FFmpeg patches it up and goes on
    with pytest.raises(BadClip) as error:
        clip(bad).read(WANTED)
    one_line(error, bad, "is damaged", "replace")
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_cut_matroska_is_too_short(frames, tmp_path):
    path = tmp_path / "a.mkv"
    write_video(path, frames, 30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadClip) as error:
        clip(path).read(WANTED)
    one_line(error, path)
