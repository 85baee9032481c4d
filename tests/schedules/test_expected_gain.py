"""The expected share of golden gain is the one that was calibrated."""

import json
from pathlib import Path

import numpy as np
import pytest

from tqd_probe.schedules import expected_gain
from tqd_probe.schedules.expected_gain import expected_share

RESULTS = Path(__file__).parents[2] / "analyses/worth/results/expected_gain.json"


def test_the_table_is_what_the_study_found():
    found = json.loads(RESULTS.read_text())
    assert found["pairs"] == 394
    assert expected_gain.BASIS.startswith("394 pairs")
    assert found["confidence"] == expected_gain.CONFIDENCE
    for name in ("cosine", "share", "low", "high"):
        assert list(getattr(expected_gain, f"{name.upper()}S")) == found[name]
    assert 0.85 < found["pairs_inside"] < 0.95
    inside = found["by_the_other_checkpoints"]
    assert sum(one["pairs"] for one in inside.values()) == 394
    # What the docstring says of a checkpoint that the table has not seen.
    assert round(inside["half-trained, 18 million parameters"]["inside"], 2) == 0.6
    assert min(one["inside"] for one in inside.values()) > 0.59


def test_shares_rise_with_the_cosine_and_end_at_one():
    share, low, high = expected_share(np.array([0.3, 0.9, 0.96, 1.0, 1.05]))
    assert share == pytest.approx([-0.91, 0.64, 0.755, 1.0, 1.0])
    assert (low < share).all()
    assert (share < high).all()
    assert low[1] == 0.07
    assert np.isnan(expected_share(np.array([np.nan]))).all()
