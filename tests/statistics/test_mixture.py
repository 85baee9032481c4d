import numpy as np
import pytest
from scipy.optimize import minimize

from tqd_probe.statistics.mixture import (
    MixtureProblem,
    beta_weights,
    minimise_risk,
    pooled_weights,
    risk,
)

MEANS = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.2, -0.4, 0.7]])
GOLDEN = np.array([1.0, 0.0, 0.0])


def problem(noise, target=GOLDEN, means=MEANS):
    return MixtureProblem(means @ means.T, np.array(noise, float), target)


def test_two_classes_have_the_closed_form_optimum():
    # min (1 - w)^2 |mu_d - mu_g|^2 + w^2 a + (1 - w)^2 b over the golden weight w
    means = MEANS[:2]
    gap = ((means[1] - means[0]) ** 2).sum()
    found = minimise_risk(
        MixtureProblem(means @ means.T, np.array([0.5, 0.1]), GOLDEN[:2])
    )
    golden = (gap + 0.1) / (gap + 0.1 + 0.5)
    assert found.weights == pytest.approx([golden, 1 - golden], abs=1e-9)
    assert found.risk == pytest.approx(
        (1 - golden) ** 2 * (gap + 0.1) + golden**2 * 0.5
    )
    assert found.repair == 0


def test_the_optimum_beats_a_general_optimiser():
    rng = np.random.default_rng(0)
    for _ in range(20):
        means = rng.normal(size=(5, 8))
        some = problem(rng.uniform(0.01, 2, 5), np.eye(5)[0], means)
        rough = minimize(
            lambda w, p=some: risk(p, w),
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        )
        found = minimise_risk(some)
        assert found.weights.sum() == pytest.approx(1)
        assert found.weights.min() >= 0
        assert found.risk <= rough.fun + 1e-7
        assert found.risk == pytest.approx(rough.fun, abs=1e-5)


def test_few_golden_clips_widen_what_is_admitted():
    weights = [
        minimise_risk(problem([2.0 / n, 0.002, 0.002])).weights[0]
        for n in (1, 10, 1000)
    ]
    assert weights[0] < weights[1] < weights[2]
    assert weights[2] > 0.95


def test_an_absent_class_gets_nothing():
    found = minimise_risk(problem([1.0, np.inf, 0.1]))
    assert found.weights[1] == 0
    assert risk(problem([1.0, np.inf, 0.1]), np.array([0, 1.0, 0])) == np.inf


def test_the_floor_keeps_a_share_of_the_admitted():
    free = minimise_risk(problem([1.0, 0.5, 1e6]))
    assert free.weights[2] < 1e-3
    found = minimise_risk(problem([1.0, 0.01, np.inf]), floor=0.3)
    assert found.weights[0] >= 0.3 - 1e-9
    assert found.weights[2] == 0
    with pytest.raises(ValueError, match="floor"):
        minimise_risk(problem([1.0, 0.5, 0.5]), floor=0.6)


@pytest.mark.monte_carlo
def test_the_predicted_risk_is_the_simulated_one():
    rng = np.random.default_rng(1)
    clips, deviation = np.array([20, 200, 50]), np.array([0.8, 1.0, 0.5])
    some = problem(3 * deviation**2 / clips)
    found = minimise_risk(some)
    errors = []
    for _ in range(4000):
        means = [
            mean + rng.normal(0, d / np.sqrt(n), 3)
            for mean, d, n in zip(MEANS, deviation, clips)
        ]
        errors.append(((found.weights @ np.stack(means) - MEANS[0]) ** 2).sum())
    assert np.mean(errors) == pytest.approx(found.risk, rel=0.05)


def test_correlated_levels_leave_more_of_the_error():
    """Golden alone at ten levels of correlation 0.5: .099, not .018."""
    target = np.full(10, 0.1)
    correlation = np.full((10, 10), 0.5) + 0.5 * np.eye(10)
    some = MixtureProblem(np.zeros((10, 10)), np.full(10, 0.18), target, correlation)
    assert risk(some, target) == pytest.approx(0.099)
    apart = MixtureProblem(np.zeros((10, 10)), np.full(10, 0.18), target)
    assert risk(apart, target) == pytest.approx(0.018)
    uneven = np.array([1.0, 0.3, 0.7])
    matrix = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    found = minimise_risk(MixtureProblem(np.zeros((3, 3)), uneven, GOLDEN, matrix))
    covariance = matrix * np.sqrt(np.outer(uneven, uneven))
    # Without bias the best weights are those of least variance; the first is negative
    # without the bound, so it is left out.
    assert found.weights == pytest.approx([0, 0.7, 0.3], abs=1e-9)
    assert found.risk == pytest.approx(found.weights @ covariance @ found.weights)


def test_the_repair_of_indefinite_products_is_reported():
    matrix = np.diag([2.0, 1.0, -0.3])
    assert minimise_risk(
        MixtureProblem(matrix, np.ones(3), GOLDEN)
    ).repair == pytest.approx(0.3)


def test_weights_of_other_ways_to_train():
    assert pooled_weights(np.array([1, 3])) == pytest.approx([0.25, 0.75])
    classes = ["golden", "visual_degraded", "motion_degraded"]
    table = beta_weights(classes, np.array([1.0, 1, 1]), np.array([0.1, 0.5, 0.9]))
    assert table.sum(1) == pytest.approx(1)
    assert table[2, 1] > table[2, 2]  # visually degraded clips at high noise
    assert table[0, 1] < table[0, 2]
    assert table[1, 1] == pytest.approx(table[1, 2])
