import pytest
from textures import FPS, SIDE, pan, parts_of

from tqd_probe.clips import motion_degradations as motion
from tqd_probe.clips import visual_degradations as visual
from tqd_probe.core.rng import stream


@pytest.mark.parametrize("speed", [1, 2, 4])
def test_flow_is_in_shorter_sides_per_second(speed):
    parts = parts_of(pan(speed))
    assert parts["flow"] == pytest.approx(speed / SIDE * FPS, rel=0.12)
    assert parts["turning"] < 0.1
    assert parts["duplicates"] == 0


def test_duplicates_are_counted_through_noise_and_compression():
    held = motion.hold(pan(2), 4)  # 12 of 15 pairs repeat
    assert parts_of(held)["duplicates"] == pytest.approx(12 / 15)
    rng = stream(0, "test-noise")
    assert parts_of(visual.noise(held, 4, rng))["duplicates"] == pytest.approx(12 / 15)
    assert parts_of(visual.compress(held, 33, FPS))["duplicates"] == pytest.approx(
        12 / 15
    )
