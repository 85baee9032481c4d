"""What the rule admits by number of clips."""

import numpy as np
import torch

from analyses.worth.admitted_pairs import COUNTS, RULES, admitted_levels, table
from analyses.worth.correlations import pair_statistics


def gradients(cosine, rng, clips=64):
    """Golden gradients of one direction, and copies at an angle to it."""
    noise = 0.02 * rng.standard_normal((2, clips, 40))
    own, other = noise
    own[:, 0] += 1.0
    other[:, 0] += cosine
    other[:, 1] += np.sqrt(1 - cosine**2)
    return torch.from_numpy(own), torch.from_numpy(other)


def test_levels_are_admitted_by_estimate_and_bound():
    rng = np.random.default_rng(0)
    levels = np.array([0.1, 0.5, 0.9])
    statistics = [pair_statistics(*gradients(c, rng)) for c in (0.8, 0.91, 0.99)]
    assert admitted_levels(levels, statistics, 0.03).tolist() == [False, True, True]
    assert admitted_levels(levels, statistics[::-1], 0.03).tolist() == [
        True,
        True,
        False,
    ]


def test_what_more_clips_do_not_admit_is_counted():
    def row(share, *admitted):
        by_count = dict(zip(map(str, COUNTS), admitted))
        return {"share": share, "admitted": dict.fromkeys(RULES, by_count)}

    rows = [row(0.9, True, True, True, True), row(-1.0, True, False, True, False)]
    found = table([*rows, row(0.2, False, False, False, True)])["adam, use"]
    assert found["12"] == {
        "admitted": 2,
        "good": 1,
        "harmful": 1,
        "lost_with_more": 1,
    }
    assert found["96"] == {
        "admitted": 2,
        "good": 1,
        "harmful": 0,
        "lost_with_more": 0,
    }
