import numpy as np
import pytest
from grams import gram_of, vectors_of
from scipy.stats import norm

from tqd_probe.core.errors import InputError
from tqd_probe.schedules.mixture_schema import Mixture
from tqd_probe.schedules.mixture_weights import (
    MixtureOptions,
    bias_corrected,
    level_shares,
    solve_mixture,
)
from tqd_probe.statistics.mixture import MixtureProblem, minimise_risk
from tqd_probe.statistics.moments import joint_moments, level_moments

CLASSES = ["golden", "visual_degraded", "motion_degraded"]
CONDITIONS = {"golden": [0], "visual_degraded": [1], "motion_degraded": [2]}
LEVELS = np.array([0.25, 0.75])
POOL = {"golden": 3, "visual_degraded": 60, "motion_degraded": 15}
# Means of the classes by level: visual is bad at low levels, motion at high ones.
MEANS = np.zeros((2, 3, 12))
MEANS[:, 0, 0] = 1.0
MEANS[0, 1, :2], MEANS[0, 2, :2] = (0.3, 0.9), (0.95, 0.1)
MEANS[1, 1, :2], MEANS[1, 2, 1:3] = (0.97, 0.15), (0.2, 0.9)
NOISE = 0.2


def measured(
    clips, form, seed=0, pool=POOL, floor=0.0, resolved=(True, True), centred=False
):
    rng = np.random.default_rng(seed)
    grams, vectors = [], []
    for means in MEANS:
        noise = rng.normal(0, NOISE, (3, clips, 1, 12))
        if centred:  # then what clips tell of the means is exact
            noise -= noise.mean(1, keepdims=True)
        rows = means[:, None, None] + noise
        grams.append(gram_of(rows))
        vectors.append(vectors_of(rows, CONDITIONS))
    moments = (
        [joint_moments(grams, vectors, CONDITIONS, {})]
        if form == "joint"
        else [level_moments(gram, CONDITIONS, {}) for gram in grams]
    )
    options = MixtureOptions(form, pool, floor, 0.95, seed, 1.0)
    return solve_mixture(CLASSES, LEVELS, np.array(resolved), moments, options)


def truth(form):
    share = 12 * NOISE**2 / np.array(list(POOL.values()))
    if form == "joint":
        means = MEANS.reshape(6, 12)
        target = np.array([0.5, 0, 0, 0.5, 0, 0])
        found = minimise_risk(
            MixtureProblem(means @ means.T, np.tile(share, 2), target)
        )
        return found.weights.reshape(2, 3), found.risk
    found = [minimise_risk(MixtureProblem(m @ m.T, share, np.eye(3)[0])) for m in MEANS]
    return np.stack([f.weights for f in found]), np.array([f.risk for f in found])


def test_per_level_finds_the_known_optimum():
    found = measured(1000, "per-level", centred=True)
    weights, risks = truth("per-level")
    assert np.array(found["weights"]) == pytest.approx(weights, abs=0.02)
    assert np.array(found["risk"]["mixture"]) == pytest.approx(risks, rel=0.05)
    assert found["level_density"] == pytest.approx([0.5, 0.5])
    assert weights[0, 2] > weights[0, 1]
    assert weights[1, 1] > weights[1, 2]


def test_joint_finds_the_known_optimum():
    found = measured(1000, "joint", centred=True)
    weights, risk = truth("joint")
    density = np.array(found["level_density"])
    shares = np.array(found["weights"]) * density[:, None]
    assert shares == pytest.approx(weights, abs=0.02)
    assert found["risk"]["mixture"] == pytest.approx([risk], rel=0.05)
    assert density.sum() == pytest.approx(1)


def test_the_clips_of_a_class_are_the_same_at_both_levels():
    """Golden alone: what its clips share at two levels does not average out."""
    rng = np.random.default_rng(3)
    kept = rng.normal(0, 1, (2, 150, 1, 200))
    grams, vectors = [], []
    for _ in range(2):
        rows = (kept + rng.normal(0, 1, kept.shape)) / np.sqrt(200)  # correlation 0.5
        grams.append(gram_of(rows))
        vectors.append(vectors_of(rows, {"golden": [0], "visual_degraded": [1]}))
    pair = {"golden": [0], "visual_degraded": [1]}
    options = MixtureOptions(
        "joint", {"golden": 10, "visual_degraded": 10}, 0.0, 0.95, 0, 1.0
    )
    moments = [joint_moments(grams, vectors, pair, {})]
    found = solve_mixture(list(pair), LEVELS, np.ones(2, bool), moments, options)
    # Variance 2 per sample: 2 / 10 (0.5^2 + 0.5^2 + 2 x 0.5 x 0.5^2), 0.1 without
    assert found["risk"]["golden"] == pytest.approx([0.15], rel=0.05)


@pytest.mark.parametrize("form", ["per-level", "joint"])
def test_the_mixture_is_the_best_of_all_ways_and_fits_the_schema(form):
    found = measured(24, form)
    assert set(found["risk"]) == {"mixture", "pooled", "beta", *CLASSES}
    for values in found["risk"].values():
        for best, other in zip(found["risk"]["mixture"], values, strict=True):
            assert best <= other + 1e-12
    parsed = Mixture.model_validate(found)
    assert parsed.form == form
    weights = np.array(found["weights"])
    bounds = np.array(found["weights_ci"])
    assert (bounds[..., 0] <= bounds[..., 1]).all()
    assert (
        (bounds[..., 0] <= weights + 0.05) & (weights - 0.05 <= bounds[..., 1])
    ).all()


@pytest.mark.monte_carlo
def test_weights_intervals_hold_the_truth():
    weights, _ = truth("per-level")
    hits = []
    for seed in range(10):
        bounds = np.array(measured(24, "per-level", seed)["weights_ci"])
        low, high = bounds[..., 0] - 1e-9, bounds[..., 1] + 1e-9
        hits.append((low <= weights) & (weights <= high))
    # of 60 intervals; more of them: analyses/intervals/mixture_check.py
    assert np.mean(hits) >= 0.85


def test_bias_corrected_percentiles():
    data = np.random.default_rng(8).exponential(size=40)
    rng = np.random.default_rng(1)
    draws = data[rng.integers(0, 40, (20000, 40))].mean(1)
    found = bias_corrected(draws[:, None], np.array([data.mean()]), 0.9)[0]
    below = np.mean(draws < data.mean())
    ends = norm.cdf(2 * norm.ppf(below) + norm.ppf([0.05, 0.95]))
    assert found == pytest.approx(np.quantile(draws, ends), abs=1e-3)
    assert np.isnan(bias_corrected(np.full((5, 1), np.nan), np.ones(1), 0.9)).all()


def test_an_unresolved_level_gets_golden_clips_alone():
    found = measured(24, "per-level", resolved=(False, True))
    assert found["weights"][0] == [1.0, 0.0, 0.0]
    assert found["risk"]["pooled"][0] is None
    assert found["weights"][1][0] < 1
    joint = measured(24, "joint", resolved=(False, True))
    assert joint["weights"][0] == [1.0, 0.0, 0.0]


def test_floor_and_pool():
    found = measured(200, "per-level", floor=0.1)
    for row in found["weights"]:
        assert all(w == pytest.approx(0, abs=1e-9) or w >= 0.1 - 1e-9 for w in row)
        assert row[0] >= 0.1 - 1e-9
    none = measured(200, "per-level", pool=POOL | {"visual_degraded": 0})
    assert [row[1] for row in none["weights"]] == [0, 0]
    assert none["fits"]["visual_degraded"] is None
    with pytest.raises(InputError, match="--pool: motion_degraded is missing"):
        measured(24, "joint", pool={"golden": 3, "visual_degraded": 3})
    with pytest.raises(InputError, match=r"--floor 0\.5"):
        measured(24, "joint", floor=0.5)


def test_level_mass_follows_the_shift():
    assert level_shares(np.array([0.25, 0.75]), 1.0) == pytest.approx([0.5, 0.5])
    u = (np.arange(5) + 0.5) / 5
    shifted = 3 * u / (1 + 2 * u)
    assert level_shares(shifted, 3.0) == pytest.approx(np.full(5, 0.2))


def test_level_mass_follows_the_timesteps_that_the_family_trains():
    steps = np.array([0.1, 0.2, 0.4, 0.8])  # cells end at 0.15, 0.3, 0.6
    levels = np.array([0.1, 0.35, 0.9])  # cells end at 0.225, 0.625
    found = level_shares(levels, 1.0, (0.1, 1.0), steps)
    first, second = 0.25 * 1.5, 0.25 * (0.5 + 1 + 0.025 / 0.4)
    assert found == pytest.approx([first, second, 1 - first - second])
