from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tqd_probe.clips.frame_selection import crop_and_resize, frame_numbers, stride
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import VideoClip, write_video
from tqd_probe.core.errors import BadClip, ClipTooSmall, InputError
from tqd_probe.core.files import file_digest

SOURCE = ClipShape(frames=40, height=96, width=128, fps=30)
WANTED = ClipShape(frames=17, height=64, width=64, fps=16)


@pytest.fixture(scope="module")
def frames():
    return synthetic_clip(0).read(SOURCE)


@pytest.fixture(scope="module")
def path(frames, tmp_path_factory):
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


@pytest.mark.parametrize(
    ("source", "wanted", "expected"),
    [
        (16, 16, 1),
        (24, 16, 2),
        (23.976, 16, 1),
        (25, 16, 2),
        (30000 / 1001, 16, 2),
        (60, 16, 4),
        (12, 16, 1),
        (4, 16, 1),
        (30, 24, 1),
        (50, 8, 6),
    ],
)
def test_stride_is_the_rounded_ratio(source, wanted, expected):
    assert stride(source, wanted) == expected


def test_frame_numbers():
    shape = ClipShape(frames=7, height=8, width=8, fps=16)
    assert frame_numbers(shape, 30).tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert frame_numbers(shape, 30, slow=2).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert frame_numbers(shape, 30, slow=1.5).tolist() == [0, 1, 2, 4, 5, 6, 8]
    assert frame_numbers(shape, 30, slow=4).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert frame_numbers(shape, 16, slow=3).tolist() == [0, 0, 0, 1, 1, 1, 2]
    long = replace(shape, frames=34)  # 33 / 1.1 is 30, whatever floats say
    assert frame_numbers(long, 16, slow=1.1)[[31, 32, 33]].tolist() == [28, 29, 30]
    assert frame_numbers(shape, 60, slow=1.25).tolist() == [0, 3, 6, 9, 12, 16, 19]


@pytest.mark.parametrize("slow", [1, 1.25, 1.5, 2, 3, 4])
def test_read_takes_the_stated_frames(path, slow):
    wanted = replace(SOURCE, frames=17, fps=16)
    expected = raw(path)[np.floor(np.arange(17) * 2 / slow + 1e-9).astype(int)]
    np.testing.assert_array_equal(clip(path).read(wanted, slow=slow), expected)


def test_centre_crop_and_area_resize_against_numpy(path):
    wanted = ClipShape(frames=17, height=32, width=32, fps=16)
    square = raw(path)[0:34:2, :, 16:112].astype(float)  # 96 x 96 about the centre
    blocks = square.reshape(17, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    difference = np.abs(clip(path).read(wanted) - blocks)
    assert difference.max() <= 0.5 + 1e-6  # rounding alone


def test_crop_of_tall_and_fractional_sizes():
    image = np.zeros((90, 40, 3), np.uint8)
    image[25:65] = 200  # the centred 40 rows
    assert (crop_and_resize(image, 20, 20) == 200).all()
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    resized = crop_and_resize(image, 20, 20)  # 30 columns kept, 1.5 pixels to one
    weights = np.zeros((20, 30))
    for row in range(20):
        for column in range(30):
            overlap = min((row + 1) * 1.5, column + 1) - max(row * 1.5, column)
            weights[row, column] = max(0, overlap) / 1.5
    kept = image[:, 10:40].astype(float)
    expected = np.einsum("ij,jkc,lk->ilc", weights, kept, weights)
    assert np.abs(resized - expected).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(crop_and_resize(image, 30, 50), image)


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


def test_identity_is_the_digest_and_is_read_once(path, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    one, other = clip(path), VideoClip("other", "words", copy)
    assert one.identity() == other.identity() == file_digest(path)
    copy.unlink()
    assert other.identity() == one.identity()
    with pytest.raises(BadClip, match="no such file"):
        clip(copy).identity()


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


def test_too_short(frames, tmp_path):
    path = tmp_path / "short.mp4"
    write_video(path, frames[:32], 30)
    with pytest.raises(BadClip) as error:
        clip(path).read(WANTED)
    one_line(error, path, "32 present", "33 needed", "17 frames", "--frames")
    assert clip(path).read(WANTED, slow=2).shape == (17, 64, 64, 3)
    write_video(path, frames[:33], 30)
    assert clip(path).read(WANTED).shape == (17, 64, 64, 3)
