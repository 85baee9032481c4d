import numpy as np
import pytest
from scipy.stats import t as student

from tqd_probe.statistics.paired_difference import paired_difference
from tqd_probe.verification.interim_analyses import (
    InterimAnalysis,
    plan_interim_analyses,
)


def test_a_single_analysis_may_spend_the_whole_error():
    for seeds, early_stop in ((5, False), (3, True), (2, True)):
        (only,) = plan_interim_analyses(seeds, early_stop, 0.05)
        assert only == InterimAnalysis(seeds=seeds, level=0.05, error_spent=0.05)


def test_errors_spent_add_up_and_grow():
    analyses = plan_interim_analyses(8, True, 0.05)
    assert [each.seeds for each in analyses] == [3, 4, 5, 6, 7, 8]
    spent = [each.error_spent for each in analyses]
    assert np.cumsum(spent) == pytest.approx(0.05 * (np.arange(3, 9) / 8) ** 3)
    levels = [each.level for each in analyses]
    assert levels == sorted(levels)
    assert all(level >= share for level, share in zip(levels, spent, strict=True))
    # the first analysis is the only one so far: its level is what it spends
    assert levels[0] == pytest.approx(spent[0], rel=0.05)
    # better than Bonferroni over as many analyses
    assert levels[-1] > 0.03 > 0.05 / 6


def test_an_analysis_that_could_spend_next_to_nothing_is_left_out():
    analyses = plan_interim_analyses(100, True, 0.05)
    assert analyses[0].seeds > 3
    assert sum(each.error_spent for each in analyses) == pytest.approx(0.05)


@pytest.mark.monte_carlo
def test_the_levels_hold_over_all_analyses():
    """Other random numbers: nothing is declared in more than 5 % of null sequences."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((200_000, 5))
    wrong = np.zeros(len(values), bool)
    for each in plan_interim_analyses(5, True, 0.05):
        some = values[:, : each.seeds]
        size = np.abs(some.mean(1)) / some.std(1, ddof=1) * np.sqrt(each.seeds)
        wrong |= size > student.ppf(1 - each.level / 2, each.seeds - 1)
    assert wrong.mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.monte_carlo
@pytest.mark.parametrize(("by_seed", "by_clip"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_intervals_over_seeds_and_clips_hold_over_all_analyses(by_seed, by_clip):
    rng = np.random.default_rng(0)
    analyses = plan_interim_analyses(5, True, 0.05)
    assert len(analyses) == 3
    wrong = 0
    for _ in range(1000):
        values = (
            by_seed * rng.normal(size=(5, 1))
            + by_clip * rng.normal(size=(1, 12))
            + rng.normal(size=(5, 12))
        )
        wrong += any(
            paired_difference(values[: each.seeds], each.level).excludes_zero
            for each in analyses
        )
    assert wrong / 1000 < 0.055
