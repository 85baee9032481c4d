import numpy as np
import pytest
from degraded_clips import CLIPS, EVERY, SHAPE, ArrayClip, difference

from tqd_probe.clips.degradations import (
    EFFECTS,
    Degradation,
    describe_degradations,
    parse_degradations,
)
from tqd_probe.core.errors import InputError


@pytest.mark.parametrize("degradation", EVERY, ids=str)
def test_shape_type_and_determinism(degradation):
    first = degradation.apply(CLIPS[0], SHAPE, 0)
    assert first.shape == (17, 64, 64, 3)
    assert first.dtype == np.uint8
    for other in (degradation, Degradation("noise", 2)):  # other draws in between
        other.apply(CLIPS[1], SHAPE, 0)
    np.testing.assert_array_equal(degradation.apply(CLIPS[0], SHAPE, 0), first)
    random = {"noise", "shuffle", "jitter", "freeze"} - (
        {"freeze"} if degradation.severity == 5 else set()
    )
    seeds = [degradation.apply(CLIPS[0], SHAPE, seed) for seed in range(1, 6)]
    differ = [not np.array_equal(first, other) for other in seeds]
    if degradation == Degradation("shuffle", 1):
        assert not any(differ)  # two frames have one other order
    else:
        assert any(differ) == (degradation.name in random)


def test_clips_of_equal_pixels_draw_by_their_id():
    video = np.full((9, 16, 16, 3), 128, np.uint8)
    one, two = ArrayClip(video, id="one"), ArrayClip(video, id="two")
    noise = Degradation("noise", 3)
    assert difference(noise.apply(one, one.shape, 0), video) > 10
    assert (
        difference(noise.apply(one, one.shape, 0), noise.apply(two, one.shape, 0)) > 10
    )


def test_controls():
    golden = CLIPS[0].read(SHAPE)
    same = Degradation("identity", 1).apply(CLIPS[0], SHAPE, 0)
    np.testing.assert_array_equal(same, golden)
    back = Degradation("reverse", 1).apply(CLIPS[0], SHAPE, 0)
    np.testing.assert_array_equal(back, golden[::-1])
    assert Degradation("reverse", 1).kind == "control"


def test_parse():
    found = parse_degradations("blur:3, freeze:5")
    assert found == (Degradation("blur", 3), Degradation("freeze", 5))
    assert [str(d) for d in found] == ["blur:3", "freeze:5"]
    assert [d.kind for d in found] == ["visual_degraded", "motion_degraded"]
    assert parse_degradations(",".join(map(str, EVERY))) == tuple(EVERY)
    assert len(EVERY) == 11 * 5


def test_combined_degradations_are_of_the_class_of_their_parts():
    both, visual, frozen = parse_degradations(
        "blur:3 + slow:4,noise:1+blur:2,blur:1+freeze:5"
    )
    assert str(both) == "blur:3+slow:4"
    assert [str(part) for part in both.parts] == ["blur:3", "slow:4"]
    assert [d.kind for d in (both, visual)] == ["both_degraded", "visual_degraded"]
    assert [d.extreme for d in (both, visual, frozen)] == [False, False, True]
    extremes = [str(each) for each in EVERY if each.extreme]
    assert extremes == ["freeze:5"]


def test_combined_degradations_are_applied_in_order():
    clip, blur, noise = CLIPS[0], Degradation("blur", 4), Degradation("noise", 4)
    first, second = (
        Degradation(*one) for one in (("blur", 4, noise), ("noise", 4, blur))
    )
    noisy = noise.apply(clip, SHAPE, 0)
    expected = blur.apply(ArrayClip(noisy), SHAPE, 0)
    np.testing.assert_array_equal(first.apply(clip, SHAPE, 0), expected)
    sharp = [
        np.abs(np.diff(d.apply(clip, SHAPE, 0).astype(int), axis=1)).mean()
        for d in (first, second)
    ]
    assert sharp[1] > 3 * sharp[0]  # noise after the blur stays sharp


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("blurr:3", ["'blurr'", *EFFECTS]),
        ("", ["not known", "blur"]),
        ("blur:3,", ["not known", "blur"]),
        ("blur", ["'blur'", "severity is missing", "blur:1 to blur:5"]),
        ("blur:0", ["blur:0", "1..5", "blur:3"]),
        ("blur:6", ["blur:6", "1..5", "blur:3"]),
        ("blur:-1", ["blur:-1", "whole number 1..5"]),
        ("blur:2.5", ["blur:2.5", "whole number 1..5"]),
        ("blur:", ["blur:", "whole number"]),
        ("blur:1:2", ["blur:1:2", "whole number"]),
        ("reverse:6", ["reverse:6", "1..5", "reverse:3"]),
        ("blur:3,blur:3", ["blur:3", "twice"]),
        ("blur:3+slow:4,blur:3+slow:4", ["blur:3+slow:4", "twice"]),
        ("blur:3+", ["not known", "blur"]),
        ("blur:3+slow", ["'slow'", "severity is missing"]),
        ("blur:3+slow:9", ["blur:3+slow:9", "1..5"]),
        ("blur:3+slow:1+blur:2", ["blur:3+slow:1+blur:2", "blur with itself"]),
        ("blur:3+reverse:1", ["blur:3+reverse:1", "a control is not combined"]),
    ],
)
def test_parse_faults(text, parts):
    with pytest.raises(InputError) as error:
        parse_degradations(text)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value), str(error.value)


def test_constructor_checks_too():
    with pytest.raises(InputError, match="not known"):
        Degradation("fog", 1)
    with pytest.raises(InputError, match=r"1\.\.5"):
        Degradation("blur", 6)


def test_table_lists_every_degradation():
    lines, _, rest = describe_degradations().partition("\n\n")
    lines = lines.splitlines()
    assert "both_degraded" in rest
    assert "freeze:5" in rest
    assert [line.split()[0] for line in lines] == list(EFFECTS)
    assert "0.006, 0.012, 0.02, 0.03, 0.045" in lines[0]
