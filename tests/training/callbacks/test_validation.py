import json

import numpy as np
import pytest
from scipy import stats

from tqd_probe.core.jsonl import JsonlWriter, read_jsonl
from tqd_probe.training.callbacks.validation import HeldOut, describe, interval
from tqd_probe.training.scored_clips import ScoredClip


class Pool:
    def __init__(self, classes):
        self.clips = [ScoredClip(clip=None, name=name) for name in classes]


def test_levels_cover_every_bucket_evenly_and_stay():
    classes = ["golden"] * 4 + ["motion_degraded"] * 3
    held = HeldOut(Pool(classes), seed=1)
    for name, count in (("golden", 4), ("motion_degraded", 3)):
        rows = held.sigma[held.classes == name]
        for bucket in range(10):
            places = np.sort(rows[:, bucket] * 10 - bucket)
            assert places == pytest.approx((np.arange(count) + 0.5) / count)
    assert (HeldOut(Pool(classes), seed=1).sigma == held.sigma).all()
    assert (HeldOut(Pool(classes), seed=2).sigma != held.sigma).any()
    high = HeldOut(Pool(classes), 1, (0.875, 1.0)).sigma
    assert high.min() > 0.875
    assert high.max() < 1


def test_summary_by_class_with_paired_changes():
    rng = np.random.default_rng(3)
    first = rng.random((6, 10))
    losses = first - 0.1 + 0.01 * rng.random((6, 10))
    classes = np.array(["golden"] * 5 + ["visual_degraded"], dtype=object)
    found = describe(losses, first, classes)
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
    assert interval(np.array([1.0])) is None


def test_lines_are_cut_where_a_run_goes_on(tmp_path):
    lines = JsonlWriter(tmp_path / "m.jsonl")
    for step in range(1, 5):
        lines.write({"step": step, "loss": step / 3})
    lines.close()
    with open(lines.path, "a") as handle:
        handle.write('{"step": 5, "lo')  # killed while writing
    lines.drop_after(3)
    assert [row["step"] for row in read_jsonl(lines.path)] == [1, 2, 3]
    lines.write({"step": 4, "loss": 4 / 3})
    lines.close()
    rows = [json.loads(line) for line in lines.path.read_text().splitlines()]
    assert rows == [{"step": s, "loss": s / 3} for s in range(1, 5)]
