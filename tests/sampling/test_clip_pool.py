import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.clip_pool import ClipPool


def test_missing_scores_are_nan():
    pool = ClipPool.of(["golden", "visual_degraded"], [0.5, None])
    assert len(pool) == 2
    assert pool.mq[0] == 0.5
    assert np.isnan([pool.mq[1], *pool.vq]).all()


def test_rows_are_taken_together():
    pool = ClipPool.of(["golden", "a", "b"], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    some = pool.take([2, 0])
    assert some.classes.tolist() == ["b", "golden"]
    assert some.mq.tolist() == [0.3, 0.1]
    assert some.vq.tolist() == [0.6, 0.4]
    assert some.repeats.tolist() == [1, 1]
    assert ClipPool.of(["a", "b"], repeats=[1, 2.5]).take([1]).repeats.tolist() == [2.5]


def test_classes_that_a_schedule_lacks_are_refused_with_their_number():
    pool = ClipPool.of(["golden", "a", "a"])
    pool.refuse_unknown(["golden", "a"], sampler="bands")
    with pytest.raises(InputError, match="--sampler bands: class 'a', 2 clips: not "):
        pool.refuse_unknown(["golden"], sampler="bands")
