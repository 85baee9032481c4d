from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from video_files import clip, encode, numbered, numbers, one_line

from tqd_probe.clips.frame_times import FrameTimes
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import BadClip

AT_16 = ClipShape(9, 32, 64, 16)
FROM_24 = [0, 1, 3, 4, 6, 7, 9, 10, 12]
FROM_25 = [0, 2, 3, 5, 6, 8, 9, 11, 12]
MS, TS = Fraction(1, 1000), Fraction(1, 90000)


def read(path):
    return numbers(clip(path).read(AT_16))


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(24)])
@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "mpegts"])
def test_film_in_any_container(rate, container, tmp_path):
    options = {"bf": "2"}  # frames are stored in another order than shown
    path = tmp_path / f"a.{container}"
    encode(
        path,
        numbered(18),
        rate,
        container=container.replace("mkv", "matroska"),
        options=options,
    )
    assert read(path) == FROM_24


def test_uneven_stamps_of_a_browser(tmp_path):
    stamps = [0, 45, 74, 125, 158, 206, 233, 288, 315, 366, 395, 444, 482, 520, 560]
    path = encode(
        tmp_path / "a.webm",
        numbered(15),
        1000,
        stamps,
        MS,
        "libvpx",
        muxer={"live": "1"},
    )
    wanted = [int(np.abs(np.array(stamps) - i * 62.5).argmin()) for i in range(9)]
    assert read(path) == wanted == [0, 2, 3, 5, 6, 8, 9, 11, 12]


def test_dropped_frames_are_held(tmp_path):
    stamps = [0, 1, 2, 3, 10, 11, 12]  # of 16 per second; nothing between 3 and 10
    path = encode(tmp_path / "a.mp4", numbered(7), 16, stamps)
    assert read(path) == [0, 1, 2, 3, 3, 3, 3, 4, 4]


def test_an_edit_list_hides_frames(tmp_path):
    stamps = [number - 6 for number in range(24)]
    path = encode(tmp_path / "a.mp4", numbered(24), 25, stamps)
    assert read(path) == [6 + number for number in FROM_25]


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_negative_starts_count_from_the_first_frame(suffix, tmp_path):
    stamps = [40 * number - 200 for number in range(20)]
    codec = "libvpx" if suffix == "webm" else "libx264"
    path = encode(
        tmp_path / f"a.{suffix}",
        numbered(20),
        25,
        stamps,
        MS,
        codec,
        muxer={"avoid_negative_ts": "disabled"},
    )
    assert read(path) == FROM_25


def test_a_transport_stream_whose_clock_wraps(tmp_path):
    stamps = [2**33 - 18000 + 3600 * number for number in range(20)]
    path = encode(tmp_path / "a.ts", numbered(20), 25, stamps, TS, container="mpegts")
    assert read(path) == FROM_25


def test_gif(tmp_path):
    path = tmp_path / "a.gif"
    encode(path, numbered(20), 25, codec="gif", pixels="rgb8")
    assert read(path) == FROM_25


def test_joined_files_whose_stamps_begin_again_are_refused(tmp_path):
    path = tmp_path / "a.ts"
    encode(path, numbered(4), container="mpegts")
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(BadClip) as error:
        read(path)
    one_line(error, path, "timestamps: frame 4", "0.188 s before", "re-encode")


def times_of(frames, tick=MS, rate=None, container="matroska"):
    """Times in seconds of frames given as (pts, dts, duration)."""
    stream = SimpleNamespace(time_base=tick, average_rate=rate, guessed_rate=None)
    times = FrameTimes("a.mkv", stream, container)
    return [
        times.of(
            SimpleNamespace(pts=pts, dts=dts, duration=duration, time_base=tick), number
        )[0]
        for number, (pts, dts, duration) in enumerate(frames)
    ]


def test_rounded_stamps_stand_for_the_stated_rate():
    rate = Fraction(30000, 1001)
    stamps = [round(1000 * n / rate) for n in range(50)]
    assert times_of([(s, s, 33) for s in stamps], rate=rate) == [
        n / rate for n in range(50)
    ]
    # A frame off the grid stays where it is; a rate that is no rate moves nothing.
    assert times_of([(0, 0, 33), (40, 0, 33)], rate=rate)[1] == Fraction(40, 1000)
    free = [(0, 0, 1), (31, 0, 1), (70, 0, 1)]
    assert times_of(free, rate=1000) == [s * MS for s, _, _ in free]


def test_frames_without_stamps():
    assert times_of([(None, None, 40), (None, None, 40), (100, None, 40)]) == [
        0,
        Fraction(40, 1000),
        Fraction(80, 1000),
    ]
    assert times_of([(None, 7, 0), (None, None, 0)], rate=20)[1] == Fraction(1, 20)
    assert times_of([(9, 2, 1), (5, 3, 1)], container="avi")[1] == MS
    with pytest.raises(BadClip, match="frame 1 has none, and the file states no frame"):
        times_of([(None, None, 0), (None, None, 0)])
