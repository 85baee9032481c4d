import numpy as np
import pytest
from scipy.stats import t as student

from tqd_probe.verification.interim_analyses import plan
from tqd_probe.verification.verdict import difference


def test_one_look_may_spend_everything():
    for seeds, early in ((5, False), (3, True), (2, True)):
        (look,) = plan(seeds, early, 0.05)
        assert (look.seeds, look.level, look.spent) == (seeds, 0.05, 0.05)


def test_errors_spent_add_up_and_grow():
    looks = plan(8, True, 0.05)
    assert [look.seeds for look in looks] == [3, 4, 5, 6, 7, 8]
    spent = [look.spent for look in looks]
    assert np.cumsum(spent) == pytest.approx(0.05 * (np.arange(3, 9) / 8) ** 3)
    levels = [look.level for look in looks]
    assert levels == sorted(levels)
    assert all(level >= share for level, share in zip(levels, spent))
    # the first look is the only one so far: its level is what it spends
    assert levels[0] == pytest.approx(spent[0], rel=0.05)
    # better than Bonferroni over as many looks
    assert levels[-1] > 0.03 > 0.05 / 6


def test_a_look_that_could_spend_next_to_nothing_is_left_out():
    looks = plan(100, True, 0.05)
    assert looks[0].seeds > 3
    assert sum(look.spent for look in looks) == pytest.approx(0.05)


@pytest.mark.monte_carlo
def test_the_levels_hold_over_all_looks():
    """Other random numbers: nothing is declared in more than 5 % of null sequences."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((200_000, 5))
    wrong = np.zeros(len(values), bool)
    for look in plan(5, True, 0.05):
        some = values[:, : look.seeds]
        size = np.abs(some.mean(1)) / some.std(1, ddof=1) * np.sqrt(look.seeds)
        wrong |= size > student.ppf(1 - look.level / 2, look.seeds - 1)
    assert wrong.mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.monte_carlo
@pytest.mark.parametrize(("by_seed", "by_clip"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_intervals_over_seeds_and_clips_hold_over_all_looks(by_seed, by_clip):
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        values = (
            by_seed * rng.normal(size=(5, 1))
            + by_clip * rng.normal(size=(1, 12))
            + rng.normal(size=(5, 12))
        )
        wrong += any(
            difference(values[: look.seeds], look.level).clear
            for look in plan(5, True, 0.05)
        )
    assert wrong / 1000 < 0.055
