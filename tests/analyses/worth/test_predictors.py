"""Predictors and their judge, on pairs known beforehand."""

import numpy as np
import pytest
import torch


def test_mean_over_tensors_gives_small_tensors_the_same_weight():
    from analyses.worth.predictors import mean_over_tensors
    from tqd_probe.gradients.layout import make_layout

    network = torch.nn.Module()
    for name, size in (("large", 900), ("small", 100), ("silent", 50)):
        network.register_parameter(name, torch.nn.Parameter(torch.ones(size)))
    layout = make_layout(network, {"all": ["large", "small", "silent"]})
    rng = torch.Generator().manual_seed(0)
    own = 0.1 * torch.randn(40, 1050, generator=rng)
    other = 0.1 * torch.randn(40, 1050, generator=rng)
    own[:, :1000] += 1.0
    other[:, :900] += 1.0  # the same direction: cosine 1
    other[:, 900:1000] -= 1.0  # the opposite: -1
    places = {name: slice(*ends) for name, ends in layout.parameters.items()}
    assert places["small"] == slice(900, 1000)
    own[:, 1000:] = 1e-3 * torch.tensor([1.0, -1.0]).repeat(20)[:, None]  # U_gg < 0
    mean, left_out = mean_over_tensors(layout, own, other)
    assert mean == pytest.approx(0.0, abs=0.02)
    assert left_out == pytest.approx(1 / 3)


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
                    "cluster": f"c{cluster}",
                    "share": share,
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
    from analyses.worth.predictors import BASE, judge

    found = judge(pairs_of("raw", BASE), ["raw", BASE])
    assert found["raw"]["inside_a_level"] == pytest.approx(1)
    assert found["raw"]["inside_a_level_ci"] == pytest.approx([1, 1])
    assert found["raw"]["better_than_base_ci"][0] > 0
    assert found[BASE]["better_than_base"] == 0
    low, high = found[BASE]["inside_a_level_ci"]
    assert low < 0.5 < high - low


def test_harmful_pairs_are_counted_with_and_without_a_veto():
    from analyses.worth.predictors import BASE, admissions

    found = admissions(pairs_of("raw", BASE))
    assert found[BASE] == {"admitted": 16, "good": 8, "harmful": 2}
    assert found["raw"] == {"admitted": 16, "good": 8, "harmful": 2}
    # Excess over gain is 50 for the first two clusters.
    assert found["raw, veto"] == {"admitted": 12, "good": 8, "harmful": 0}
    # Half of the gain after three and six steps; one cluster was not tried so long.
    assert found[f"{BASE}, certificate"] == {"admitted": 6, "good": 6, "harmful": 0}
