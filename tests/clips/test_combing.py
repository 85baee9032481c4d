import numpy as np
import pytest

from tqd_probe.clips.combing import CombDetector, judge

ROWS, COLUMNS = 48, 64


def pan(count, right, down=0.0):
    """A texture that moves, luma ``[count, ROWS, COLUMNS]``."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    frames = []
    for k in range(count):
        u, v = (x - right * k) / 3, (y - down * k) / 4
        frames.append(np.sin(u) + np.sin(v) + np.sin(u * 0.7 + v * 1.3))
    return np.rint(128 + 40 * np.array(frames)).astype(np.uint8)


def woven(fields, lower_first=False):
    """Frames of two fields each, from pictures at twice the rate."""
    frames, others = fields[::2].copy(), fields[1::2]
    if lower_first:
        frames, others = others.copy(), fields[::2]
    frames[:, 1::2] = others[:, 1::2]
    return frames


def detect(frames):
    found = CombDetector()
    for frame in frames:
        if found.wants:
            found.add(frame)
        else:
            found.skip()
    return found


@pytest.mark.parametrize("lower_first", [False, True])
@pytest.mark.parametrize("speed", [(1.0, 0.0), (3.5, 0.0), (1.0, 1.0)])
def test_fields_of_two_instants_are_found(speed, lower_first):
    found = detect(woven(pan(120, *speed), lower_first))
    assert found.votes == [-1 if lower_first else 1] * 8
    assert found.interlaced


def test_film_with_pulldown_is_found():
    frames = []
    for a, b, c, d in pan(48, 2.0).reshape(12, 4, ROWS, COLUMNS):
        pairs = ((a, a), (b, b), (b, c), (c, d), (d, d))
        frames += [woven(np.stack(pair))[0] for pair in pairs]
    found = detect(frames)
    assert 3 <= found.votes.count(1) < 8
    assert found.interlaced


def checkerboard(count, right, down, size):
    y, x = np.mgrid[:ROWS, :COLUMNS]
    cells = [(y + down * k) // size + (x + right * k) // size for k in range(count)]
    return np.where(np.array(cells) % 2, 235, 16).astype(np.uint8)


def lines(count, down):
    """Rows of thin strokes, as of text, that scroll."""
    y = np.arange(ROWS)[:, None]
    return np.array(
        [
            np.where((y + down * k) % 11 == 0, 16, 235) * np.ones((1, COLUMNS))
            for k in range(count)
        ]
    ).astype(np.uint8)


@pytest.mark.parametrize(
    "frames",
    [
        pan(60, 1.0),
        pan(60, 5.0, 2.0),
        pan(60, 0.0, 1.0),
        checkerboard(60, 0, 0, 1),
        checkerboard(60, 1, 0, 1),
        checkerboard(60, 1, 2, 2),
        lines(60, 1),
        lines(60, 2),
        np.random.default_rng(0).integers(0, 256, (60, ROWS, COLUMNS), np.uint8),
        pan(60, 2.0)[np.arange(60) * 3 // 2 % 60],  # uneven cadence
        pan(60, 2.0)[np.random.default_rng(1).permutation(60)],
    ],
)
def test_progressive_frames_are_not(frames):
    assert not any(detect(frames).votes)


def test_what_cannot_be_judged():
    still = [np.zeros((ROWS, COLUMNS), np.int16)] * 3
    assert judge(still) is None
    assert judge([*still[:2], np.zeros((32, 32), np.int16)]) is None
    assert not CombDetector().interlaced
