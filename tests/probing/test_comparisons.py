from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.probing.comparisons import paired_comparisons


def test_classes_pool_their_degradations_and_controls_stand_alone():
    asked = parse_degradations("blur:3,freeze:5,identity:1,noise:2")
    assert paired_comparisons(asked) == {
        "visual_degraded": [1, 4],
        "motion_degraded": [2],
        "blur:3": [1],
        "freeze:5": [2],
        "identity:1": [3],
        "noise:2": [4],
    }
    assert list(paired_comparisons(asked))[:2] == ["visual_degraded", "motion_degraded"]


def test_an_extreme_decides_only_where_nothing_else_does():
    asked = parse_degradations("slow:4,freeze:5,hold:4,blur:3+slow:4,blur:1+freeze:5")
    found = paired_comparisons(asked)
    assert list(found)[:2] == ["motion_degraded", "both_degraded"]
    assert found["motion_degraded"] == [1, 3]
    assert found["both_degraded"] == [4]
    assert found["freeze:5"] == [2]
    assert found["blur:3+slow:4"] == [4]
