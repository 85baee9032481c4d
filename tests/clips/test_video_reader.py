from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from video_files import SOURCE, WANTED, clip, encode, numbered, numbers, one_line, raw

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import BadClip
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.run import interlaced_text
from tqd_probe.scoring.tasks import Task


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
        one_line(error, "cut short", "bytes are missing after 20 frames")
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


SMALL = ClipShape(4, 32, 64, 16)


def test_interlacing_that_is_not_marked_is_warned_of_once(tmp_path, capfd):
    y, x = np.mgrid[:64, :64]
    fields = [128 + 60 * np.sin((x - k) / 3) + 20 * np.sin(y / 5) for k in range(40)]
    fields = np.rint(fields).astype(np.uint8)
    frames = fields[::2].copy()
    frames[:, 1::2] = fields[1::2, 1::2]
    for name, shown in (("a.mp4", frames), ("b.mp4", fields[::2])):
        encode(tmp_path / name, shown[..., None].repeat(3, axis=3))
    whole = ClipShape(20, 64, 64, 16)
    for _ in range(2):
        clip(tmp_path / "a.mp4").read(whole)
        clip(tmp_path / "b.mp4").read(whole)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: {tmp_path / 'a.mp4'}: looks interlaced")
    found = score_clip(Task(str(tmp_path / "a.mp4")), ReadOptions())
    assert found["interlaced"] is True
    assert "interlaced" not in score_clip(Task(str(tmp_path / "b.mp4")), ReadOptions())
    names = [f"{k}.mp4" for k in range(5)]
    assert interlaced_text(names).startswith("0.mp4, 1.mp4, 2.mp4 and 2 more: looks")


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_interlaced_frames_are_refused(order, tmp_path):
    path = encode(
        tmp_path / "a.mp4", numbered(6, 64), options={"x264-params": f"{order}=1"}
    )
    with pytest.raises(BadClip) as error:
        clip(path).read(SMALL)
    one_line(error, path, "frame 0 is interlaced", "bwdif")


def test_fields_stated_by_the_container_alone(tmp_path):
    def fields(stream):
        stream.codec_context.field_order = 2

    path = encode(tmp_path / "a.mkv", numbered(6), codec="ffv1", setup=fields)
    with pytest.raises(BadClip, match="frame 0 is interlaced"):
        clip(path).read(SMALL)


def test_a_change_of_size_is_refused_where_it_is_read(tmp_path):
    encode(tmp_path / "a.ts", numbered(6), container="mpegts")
    encode(tmp_path / "b.ts", numbered(6, 48, 80), container="mpegts")
    path = tmp_path / "c.ts"
    path.write_bytes(
        (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    )
    with pytest.raises(BadClip) as error:
        clip(path).read(replace(SMALL, frames=8))
    one_line(error, path, "changes from 32 x 64 to 48 x 80 pixels at frame 6")
    assert numbers(clip(path).read(SMALL)) == [0, 1, 2, 3]


def with_cover(path, first):
    """A video beside a still picture, which may come first."""
    with av.open(str(path), "w") as output:
        streams = {}
        for kind in ("cover", "video") if first else ("video", "cover"):
            codec = {"cover": "png", "video": "libx264"}[kind]
            streams[kind] = stream = output.add_stream(codec, rate=16)
            stream.height, stream.width = (32, 64) if kind == "video" else (48, 48)
            stream.pix_fmt = {"cover": "rgb24", "video": "yuv420p"}[kind]
        streams["cover"].disposition = av.stream.Disposition.attached_pic
        cover = np.full((48, 48, 3), 90, np.uint8)
        output.mux(
            streams["cover"].encode(av.VideoFrame.from_ndarray(cover, format="rgb24"))
        )
        for image in numbered(8):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            output.mux(streams["video"].encode(frame))
        output.mux(streams["video"].encode())


@pytest.mark.parametrize("first", [True, False])
def test_a_cover_picture_is_not_the_video(first, tmp_path):
    with_cover(tmp_path / "a.mp4", first)
    assert numbers(clip(tmp_path / "a.mp4").read(SMALL)) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_picture_is_no_video(kind, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(cv2.imencode(kind, numbered(1)[0])[1].tobytes())
    with pytest.raises(BadClip) as error:
        clip(path).read(SMALL)
    one_line(error, path, "is a picture", "leave it out")


def test_an_unknown_codec(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(4))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(BadClip) as error:
        clip(path).read(SMALL)
    one_line(error, path, "codec is unknown")
