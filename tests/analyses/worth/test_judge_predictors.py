"""The judge of predictors, on pairs known beforehand."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    from analyses.worth import judge_predictors

    monkeypatch.setattr(judge_predictors, "RESAMPLES", 200)


def pairs_of(good, bad):
    """Pairs of eight clusters at two levels; one number orders them, one does not."""
    rng = np.random.default_rng(1)
    found = []
    for cluster in range(8):
        for sigma in (0.3, 0.7):
            share = (cluster - 1) / 6  # the first is harmful
            found.append(
                {
                    "sigma": sigma,
                    "degradation": f"c{cluster}",
                    "share": share,
                    "share_ci": [share - 0.1, share + 0.1],
                    "gain": 0.1,
                    "excess": 5.0 if cluster < 2 else 0.1,
                    "share_at_3": share,
                    "share_at_6": None if cluster == 7 else share,
                    "predicted": {good: share, bad: float(rng.random())},
                    "admitted": {good: cluster >= 4, bad: True, "raw": True},
                }
            )
    return found


def test_a_number_that_orders_pairs_is_told_from_one_that_does_not():
    from analyses.worth.judge_predictors import BASE, judge

    found = judge(pairs_of("raw", BASE), ["raw", BASE])
    assert found["raw"]["inside_a_level"] == pytest.approx(1)
    assert found["raw"]["inside_a_level_ci"] == pytest.approx([1, 1])
    assert found["raw"]["better_than_base_ci"][0] > 0
    assert found[BASE]["better_than_base"] == 0
    low, high = found[BASE]["inside_a_level_ci"]
    assert low < 0.5 < high - low


def test_harmful_pairs_are_counted_with_and_without_a_veto():
    from analyses.worth.judge_predictors import BASE, admissions, harmful

    found = admissions(pairs_of("raw", BASE))
    assert found[BASE] == {"admitted": 16, "good": 8, "harmful": 2}
    assert found["raw"] == {"admitted": 16, "good": 8, "harmful": 2}
    # Excess over gain is 50 for the first two clusters.
    assert found["raw, veto"] == {"admitted": 12, "good": 8, "harmful": 0}
    # Half of the gain after three and six steps; one cluster was not tried so long.
    assert found[f"{BASE}, certificate"] == {"admitted": 6, "good": 6, "harmful": 0}
    named = harmful(pairs_of("raw", BASE))
    assert [(one["degradation"], one["sigma"]) for one in named] == [
        ("c0", 0.3),
        ("c0", 0.7),
    ]


def test_levels_and_degradations_of_two_sets_are_not_mixed():
    from analyses.worth.judge_predictors import BASE, judge, shuffled

    low, high = pairs_of(BASE, "raw"), pairs_of(BASE, "raw")
    for pair in low:
        pair["set"] = "a"
    for pair in high:  # another scale of cosines: orders inside a set, not across
        pair["set"] = "b"
        pair["predicted"][BASE] -= 10
    found = judge(low + high, [BASE])[BASE]
    assert found["inside_a_level"] == pytest.approx(1)
    assert found["spearman"] < 0.7
    mixed = shuffled(low + high)
    assert abs(mixed["mean"]) < 0.05
    assert mixed["range"][0] < 0 < mixed["range"][1]
    assert mixed["reach_the_true_one"] == 0


def test_cost_counts_golden_clips_and_every_pair():
    from analyses.worth.judge_predictors import clip_gradients

    found = clip_gradients(pairs_of("a", "b"), 24)
    assert found["cosines"] == 24 * 2 * 9
    trainings = 2 * (16 + 2)
    assert found["certificate"] == trainings * 48 + 24 * (2 * trainings + 2) // 3
