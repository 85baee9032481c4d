"""The questions about a measured density, on losses known beforehand."""

import numpy as np
import pytest


def trials(**levels):
    """Losses of four seeds and three clips by sampler, around a mean each."""
    rng = np.random.default_rng(0)
    noise = {seed: rng.normal(size=3) for seed in range(4)}  # shared by samplers
    own = {name: 0.001 * rng.normal(size=(4, 3)) for name in levels}
    return {
        name: {seed: mean + noise[seed] + own[name][seed] for seed in range(4)}
        for name, mean in levels.items()
    }


def test_a_question_is_answered_by_intervals_on_all_its_sets():
    from analyses.tables.density_bands import (
        BANDS,
        ON_SIGNAL,
        ON_TILT,
        SIGNAL,
        TILT,
        verdict,
    )

    a = {SIGNAL: 0.9, TILT: 1.0, ON_SIGNAL: 0.8, BANDS: 0.8, "uniform": 1.0}
    c = {SIGNAL: 1.0, TILT: 1.0, "uniform": 1.1}
    found = verdict({"A": trials(**a), "C": trials(**c)})
    answers = found["answers"]
    assert [each["shown"] for each in answers.values()] == [False, True, False]
    measuring = answers["does measuring matter"]["differences"]
    assert measuring["A"]["high"] < 0 < measuring["C"]["high"]
    assert answers["does class selection add"]["differences"]["A"]["mean"] == (
        pytest.approx(-0.1, abs=2e-3)
    )
    assert found["minus_uniform"]["A"][ON_SIGNAL]["mean"] == (
        pytest.approx(-0.2, abs=2e-3)
    )
    assert found["minus_uniform"]["C"][TILT]["seeds"] == 4
    assert "afterwards" not in found
    a[ON_TILT] = 0.9
    found = verdict({"A": trials(**a), "C": trials(**c)})["afterwards"]
    assert found[ON_SIGNAL]["mean"] == pytest.approx(0.1, abs=2e-3)
    assert found[TILT]["mean"] == pytest.approx(-0.1, abs=2e-3)
    del a[TILT]
    found = verdict({"A": trials(**a)})
    assert list(found["answers"]) == [
        "does class selection add",
        "is it the base for bands",
    ]
    assert TILT not in found["afterwards"]
