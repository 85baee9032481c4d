import pytest
from verification_results import ANALYSIS, made_up_losses

from tqd_probe.verification.comparison import compare_with_baseline, ranking_is_clear


@pytest.mark.parametrize(
    ("shift", "outcome"), [(-0.1, "helps"), (0.1, "hurts"), (0, "no difference shown")]
)
def test_comparisons_have_the_right_sign_and_place(shift, outcome):
    losses = made_up_losses(shift)
    found = compare_with_baseline(losses, "uniform", ANALYSIS)
    assert list(found) == ["bands"]
    comparison = found["bands"]
    assert comparison.outcome == outcome
    clear = [each.excludes_zero for each in comparison.buckets]
    assert clear == [bool(shift)] * 5 + [False] * 5
    assert ranking_is_clear(losses, "uniform", ANALYSIS.level) == bool(shift)
    assert comparison.difference.mean == pytest.approx(shift / 2, abs=1e-3)


def test_the_ranking_is_clear_when_every_sampler_differs():
    losses = made_up_losses(-0.1) | {"beta": made_up_losses(0)["bands"]}
    assert not ranking_is_clear(losses, "uniform", ANALYSIS.level)
    losses["beta"] = made_up_losses(0.1)["bands"]
    assert ranking_is_clear(losses, "uniform", ANALYSIS.level)
