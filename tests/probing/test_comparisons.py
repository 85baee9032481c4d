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
