import numpy as np
import pytest
from scipy import stats

from tqd_probe.training.callbacks.validation import student_interval, summarise


def test_summary_by_class_with_paired_changes():
    rng = np.random.default_rng(3)
    first = rng.random((6, 10))
    losses = first - 0.1 + 0.01 * rng.random((6, 10))
    classes = np.array(["golden"] * 5 + ["visual_degraded"], dtype=object)
    found = summarise(losses, first, classes)
    golden, mine = found["golden"], losses[:5]
    assert golden["loss"] == pytest.approx(mine.mean())
    assert golden["bucket_loss"] == pytest.approx(mine.mean(0))
    expected = stats.t.interval(
        0.95, 4, (mine - first[:5]).mean(), stats.sem((mine - first[:5]).mean(1))
    )
    assert golden["change_ci"] == pytest.approx(expected)
    wide = golden["loss_ci"][1] - golden["loss_ci"][0]
    assert golden["change_ci"][1] - golden["change_ci"][0] < wide / 5  # pairing
    assert found["visual_degraded"]["change_ci"] is None
    assert student_interval(np.array([1.0])) is None
