from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from video_files import clip, encode, one_line

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.shown_pixels import (
    ShownPixels,
    _has_dolby_vision,
    _turn,
    square_pixels,
    turned,
)
from tqd_probe.core.errors import BadClip

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 200)
COLOURS = dict(zip("RGBW", (RED, GREEN, BLUE, GREY)))


def quarters():
    """Red, green over blue, grey: no two turns look alike."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, :32], image[:16, 32:], image[16:, :32], image[16:, 32:] = (
        RED,
        GREEN,
        BLUE,
        GREY,
    )
    return image


def letters(image):
    """The colours of the four quarters, by rows."""
    height, width = image.shape[:2]
    found = ""
    for row in (height // 4, 3 * height // 4):
        for column in (width // 4, 3 * width // 4):
            distances = {
                name: np.abs(image[row, column].astype(int) - colour).sum()
                for name, colour in COLOURS.items()
            }
            found += min(distances, key=distances.__getitem__)
    return found


@pytest.mark.parametrize(
    ("degrees", "across", "down", "shown"),
    [
        (0, False, False, "RGBW"),
        (90, False, False, "GWRB"),  # counter-clockwise
        (180, False, False, "WBGR"),
        (270, False, False, "BRWG"),
        (0, True, False, "GRWB"),
        (0, False, True, "BWRG"),
        (90, True, False, "WGBR"),  # turned, then flipped
        (270, True, False, "RBGW"),
    ],
)
def test_turns_and_flips(degrees, across, down, shown, tmp_path):
    path = encode(
        tmp_path / "a.mp4",
        [quarters()] * 2,
        setup=lambda stream: stream.set_display_rotation(degrees, across, down),
    )
    height, width = (32, 64) if degrees % 180 == 0 else (64, 32)
    assert letters(clip(path).read(ClipShape(2, height, width, 16))[0]) == shown


def test_side_data_that_pyav_does_not_know():
    class Unknown:
        rotation = 270

        @property
        def side_data(self):
            raise ValueError("33 is not a valid Type")

    assert letters(turned(quarters(), _turn("a.mp4", Unknown()))) == "BRWG"
    assert not _has_dolby_vision(Unknown())


def test_a_slanted_picture_is_refused(tmp_path):
    path = encode(
        tmp_path / "a.mp4",
        [quarters()] * 2,
        setup=lambda stream: stream.set_display_rotation(30),
    )
    with pytest.raises(BadClip) as error:
        clip(path).read(ClipShape(2, 32, 32, 16))
    one_line(error, path, "display matrix", "30 degrees", "re-encode")


def test_pixels_that_are_not_square_become_so(tmp_path):
    def anamorphic(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2)

    path = encode(tmp_path / "a.mp4", [quarters()] * 2, setup=anamorphic)
    video = clip(path).read(ClipShape(2, 16, 64, 16))  # shown at 4 to 1
    assert letters(video[0]) == "RGBW"
    with pytest.raises(BadClip, match="16 x 64 pixels is smaller"):
        clip(path).read(ClipShape(2, 32, 64, 16))
    image = quarters()
    assert square_pixels(image, Fraction(1, 2)).shape == (32, 32, 3)
    assert square_pixels(image, Fraction(16, 15)).shape == (30, 64, 3)
    assert square_pixels(image, Fraction(1280, 1281)) is image


def plain(luma, blue, red, **stated):
    """A frame of one colour, 8 bits, 4:2:0, with what is stated of it."""
    frame = av.VideoFrame(32, 32, "yuv420p")
    for plane, value in zip(frame.planes, (luma, blue, red)):
        plane.update(bytes([value]) * plane.buffer_size)
    for name, value in stated.items():
        setattr(frame, name, value)
    return frame


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        # 1.164 (Y - 16) and each matrix's weights of colour, by hand.
        ({}, (181, 68, 21)),  # BT.601
        ({"colorspace": 5}, (181, 68, 21)),
        ({"colorspace": 1}, (191, 77, 17)),  # BT.709
        ({"colorspace": 9}, (185, 71, 16)),  # BT.2020
        ({"colorspace": 1, "color_range": 2}, (182, 83, 29)),  # full range
    ],
)
def test_matrix_and_range_are_those_stated(stated, wanted):
    image = ShownPixels("a.mp4", None).rgb(plain(100, 90, 180, **stated))
    assert np.abs(image[8, 8].astype(int) - wanted).max() <= 2


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"colorspace": 14}, ("colour matrix", "ICtCp")),
        ({"colorspace": 7, "color_trc": 16}, ("colour matrix", "HDR")),
        ({"color_trc": 8}, ("transfer function", "linear")),
        ({"color_trc": 17}, ("transfer function", "SMPTE ST 428")),
    ],
)
def test_colours_that_cannot_be_honoured_are_refused(stated, words):
    with pytest.raises(BadClip) as error:
        ShownPixels("a.mp4", None).rgb(plain(100, 128, 128, **stated))
    one_line(error, "a.mp4", *words, "re-encode")


def test_dolby_vision_without_a_base_layer_is_refused():
    frame = SimpleNamespace(
        colorspace=2,
        color_trc=2,
        side_data={"DOVI_METADATA": b"", "DISPLAYMATRIX": None},
    )
    with pytest.raises(BadClip, match="Dolby Vision"):
        ShownPixels("a.mp4", None).rgb(frame)


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_files_are_shown_as_on_an_ordinary_display(
    transfer, tmp_path
):
    def stated(stream):
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, transfer

    # 10-bit codes of diffuse white: 58 % PQ, 75 % HLG (BT.2408); 8 bits are near.
    level = round(255 * {16: 0.5807, 18: 0.75}[transfer])
    grey = np.full((32, 64, 3), level, np.uint8)
    path = encode(
        tmp_path / "a.mkv", [grey] * 2, codec="ffv1", pixels="yuv420p10le", setup=stated
    )
    video = clip(path).read(ClipShape(2, 32, 64, 16))
    assert video.min() >= 250
    assert video.max() <= 255
