"""Which measured densities are built, on losses known beforehand."""

import numpy as np
import pytest


def trials(**levels):
    """Losses of four seeds and three clips by sampler, around a mean each."""
    rng = np.random.default_rng(0)
    noise = {seed: rng.normal(size=3) for seed in range(4)}  # shared by samplers
    own = {name: 0.001 * rng.normal(size=(4, 3)) for name in levels}
    return {
        name.replace("_", " "): {
            seed: mean + noise[seed] + own[name][seed] for seed in range(4)
        }
        for name, mean in levels.items()
    }


def test_a_density_is_built_only_if_it_beats_all_simple_forms_on_both_sets():
    from analyses.tables.density_verdict import shown, verdict

    simple = {"uniform": 1.0, "logit-normal": 1.1, "family's own": 0.9}
    a = trials(
        **simple, density_by_signal=0.8, density_by_loss=0.95, density_by_gain=0.8
    )
    c = trials(
        **simple, density_by_signal=0.8, density_by_loss=0.8, density_by_gain=0.9
    )
    found = verdict({"A": a, "C": c})
    assert found["built"] == ["density by signal"]
    row = found["rows"]["A"]["density by loss"]
    assert row["minus uniform"]["mean"] == pytest.approx(-0.05, abs=2e-3)
    assert row["minus family's own"]["low"] > 0
    assert "minus uniform" not in found["rows"]["A"]["uniform"]
    assert shown({"mean": -0.0012, "low": -0.002, "high": -0.0001}).startswith("**-1.2")
    assert shown({"mean": 0.0012, "low": -0.001, "high": 0.003}) == "+1.2 [-1.0, +3.0]"
