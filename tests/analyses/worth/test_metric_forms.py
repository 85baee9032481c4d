"""Correlations of metrics on numbers known beforehand."""

import pytest
import torch


def test_a_metric_that_orders_the_shares_has_correlation_one(monkeypatch):
    from analyses.worth import metric_forms

    monkeypatch.setattr(metric_forms, "RESAMPLES", 50)
    names = ["adam, full", "adam, factored"]
    rows = [
        {
            "degradation": f"blur:{k % 4 + 1}",
            "sigma": 0.1 * (k // 4 + 1),
            "share": k / 12,
            "cosine": {names[0]: -k / 12, names[1]: (k / 12) ** 3},
        }
        for k in range(12)
    ]
    found = metric_forms.correlations(rows, names)
    assert found[names[0]]["spearman"] == pytest.approx(-1)
    assert found[names[1]]["spearman"] == pytest.approx(1)
    assert found[names[1]]["inside_a_level"] == pytest.approx(1)
    assert found[names[1]]["better_than_full_by"] == pytest.approx(2)
    assert found[names[1]]["better_than_full_by_ci"] == pytest.approx([2, 2])


def test_scales_of_equal_rows_are_the_same_in_both_forms(wan_layout):
    """Every entry of a parameter alike: full and factored moments agree."""
    from analyses.worth.metric_forms import ratios, scales

    golden = torch.cat(
        [
            torch.full((3, stop - start), 1.0 + index)
            for index, (start, stop) in enumerate(wan_layout.parameters.values())
        ],
        1,
    )
    found = scales(wan_layout, [golden[:1], golden[1:]])
    assert list(found) == [
        "raw",
        "adam, full",
        "adam, factored",
        "fisher, full",
        "fisher, factored",
    ]
    assert torch.allclose(found["adam, full"], found["adam, factored"], rtol=2e-3)
    assert ratios(found)["ratio"] == pytest.approx([1] * 7, abs=3e-3)
