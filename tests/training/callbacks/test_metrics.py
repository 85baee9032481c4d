import pytest
from training_runs import BATCH, STEPS

from tqd_probe.core.jsonl import read_jsonl


def test_losses_and_density_are_those_of_the_draws(straight):
    """Every report against the samples recorded one by one."""
    samples = read_jsonl(straight / "draws.jsonl")
    rows = read_jsonl(straight / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        mine = [s["loss"] for s in samples if s["step"] == row["step"]]
        assert len(mine) == BATCH
        assert row["loss"] == pytest.approx(sum(mine) / BATCH)
    reports = [row for row in rows if "loss_by_bucket" in row]
    assert [row["step"] for row in reports] == [2, 4, 6, 7]
    before = 0
    for row in reports:
        window = [s for s in samples if before < s["step"] <= row["step"]]
        for bucket, loss in enumerate(row["loss_by_bucket"]):
            mine = [s["loss"] for s in window if int(s["sigma"] * 10) == bucket]
            expected = pytest.approx(sum(mine) / len(mine)) if mine else None
            assert loss == expected
        so_far = [s for s in samples if s["step"] <= row["step"]]
        for bucket in range(10):
            count = sum(int(s["sigma"] * 10) == bucket for s in so_far)
            assert sum(row["density"][name][bucket] for name in row["density"]) == count
        before = row["step"]
