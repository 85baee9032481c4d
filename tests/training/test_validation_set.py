import numpy as np
import pytest

from tqd_probe.training.scored_clips import ScoredClip
from tqd_probe.training.validation_set import ValidationSet


class Clips:
    def __init__(self, classes):
        self.clips = [ScoredClip(clip=None, clip_class=name) for name in classes]


def test_levels_cover_every_bucket_evenly_and_stay():
    classes = ["golden"] * 4 + ["motion_degraded"] * 3
    held = ValidationSet(Clips(classes), seed=1)
    for name, count in (("golden", 4), ("motion_degraded", 3)):
        rows = held.sigma[held.classes == name]
        for bucket in range(10):
            places = np.sort(rows[:, bucket] * 10 - bucket)
            assert places == pytest.approx((np.arange(count) + 0.5) / count)
    assert (ValidationSet(Clips(classes), seed=1).sigma == held.sigma).all()
    assert (ValidationSet(Clips(classes), seed=2).sigma != held.sigma).any()
    high = ValidationSet(Clips(classes), 1, (0.875, 1.0)).sigma
    assert high.min() > 0.875
    assert high.max() < 1
