from tqd_probe.core.clip_classes import CLASSES, LABELS, classify, golden_first


def test_two_thresholds_make_four_quadrants():
    assert classify(0.5, 0.5, 0.5, 0.5) == "golden"
    assert classify(0.5, 0.4, 0.5, 0.5) == "visual_degraded"
    assert classify(0.4, 0.5, 0.5, 0.5) == "motion_degraded"
    assert classify(0.4, 0.4, 0.5, 0.5) == "both_degraded"


def test_each_score_has_its_own_threshold():
    assert classify(mq=0.3, vq=0.6, mq_min=0.2, vq_min=0.7) == "visual_degraded"
    assert classify(mq=0.6, vq=0.3, mq_min=0.7, vq_min=0.2) == "motion_degraded"


def test_golden_comes_first():
    names = ["visual_degraded", "both_degraded", "golden", "visual_degraded"]
    assert golden_first(names) == ["golden", "both_degraded", "visual_degraded"]
    assert golden_first(["visual_degraded"]) == ["visual_degraded"]


def test_every_class_has_a_label():
    assert list(LABELS) == list(CLASSES)
    assert LABELS["visual_degraded"] == "visual degraded"
