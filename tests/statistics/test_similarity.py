import itertools
from dataclasses import replace

import numpy as np
import pytest
from known_gradients import gram_of, problem, statistics_of

from tqd_probe.statistics.similarity import LevelStatistics


def brute(a, b):
    """Mean of <a_i, b_j> over i != j, by loops."""
    pairs = itertools.permutations(range(len(a)), 2)
    return float(np.mean([a[i] @ b[j] for i, j in pairs]))


def test_curves_equal_brute_force():
    rng = np.random.default_rng(2)
    gradients = rng.normal(size=(3, 6, 2, 8)) + 1.0
    clips = gradients.mean(2)
    golden, pooled = clips[0], clips[1:].mean(0)
    gg, gd, dd = brute(golden, golden), brute(golden, pooled), brute(pooled, pooled)
    found = statistics_of(gradients).compare([1, 2])
    assert found.cosine == pytest.approx(gd / np.sqrt(gg * dd), rel=1e-10)
    assert found.norm_ratio == pytest.approx(np.sqrt(dd / gg), rel=1e-10)
    assert found.bias2 == pytest.approx(gg - 2 * gd + dd, rel=1e-10)
    means = golden.mean(0), pooled.mean(0)
    naive = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    assert found.cosine_naive == pytest.approx(naive, rel=1e-10)


def test_golden_against_itself_is_one():
    gradients = problem(0.5, 1.0, 12, 0.3)
    gradients[1] = gradients[0]
    found = statistics_of(gradients).compare([1])
    assert found.cosine == pytest.approx(1, abs=1e-12)
    assert found.norm_ratio == pytest.approx(1, abs=1e-12)
    assert found.bias2 == pytest.approx(0, abs=1e-12)


def test_intervals_contain_the_truth():
    gradients = problem(cosine=0.7, ratio=1.5, clips=40, noise=0.45)
    found = statistics_of(gradients).compare([1])
    low, high = found.cosine_ci
    assert low < 0.7 < high
    assert found.norm_ratio_ci[0] < 1.5 < found.norm_ratio_ci[1]
    assert high - low < 0.5


@pytest.mark.monte_carlo
def test_noise_shrinks_the_naive_cosine_and_not_the_debiased_one():
    found = [
        statistics_of(problem(0.7, 1.5, 16, 0.6, seed=s, shared=0.0)).compare([1])
        for s in range(30)
    ]
    # Mean gradients of 16 clips x 2 draws: noise power 60 * 0.36 / 32 = 0.675.
    shrunk = 0.7 / np.sqrt((1 + 0.675) * (1 + 0.675 / 1.5**2))
    assert np.mean([f.cosine_naive for f in found]) == pytest.approx(shrunk, abs=0.04)
    assert np.mean([f.cosine for f in found]) == pytest.approx(0.7, abs=0.04)


@pytest.mark.monte_carlo
def test_estimates_are_unbiased_over_many_problems():
    cosines = [
        statistics_of(problem(0.6, 1.0, 24, 0.25, seed=s)).compare([1]).cosine
        for s in range(60)
    ]
    error = np.std(cosines) / np.sqrt(60)
    assert np.mean(cosines) == pytest.approx(0.6, abs=4 * error)
    assert error < 0.03


def test_identity_has_an_interval_without_width():
    gradients = problem(0.5, 1.0, 12, 0.3)
    gradients[1] = gradients[0]
    found = statistics_of(gradients).compare([1])
    assert found.cosine_ci == pytest.approx((1, 1), abs=1e-6)
    assert found.norm_ratio_ci == pytest.approx((1, 1), abs=1e-6)
    assert found.bias2_ci == pytest.approx((0, 0), abs=1e-6)


def test_bias_has_an_interval_around_the_truth():
    found = statistics_of(problem(0.7, 1.5, 40, 0.3)).compare([1])
    truth = 1 - 2 * 0.7 * 1.5 + 1.5**2
    assert found.bias2_ci[0] < truth < found.bias2_ci[1]
    assert found.bias2_ci[1] - found.bias2_ci[0] < 1.0


def test_an_interval_is_undefined_where_the_denominator_may_be_zero():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(2, 12, 1, 200))
    found = statistics_of(gradients).compare([1])
    assert np.isnan(found.cosine_ci).all()


def unpaired_gram(golden, other):
    gram = gram_of(golden[None, :, None])
    return replace(
        gram,
        others=(other @ golden.T)[None, :, None, :],
        among=(other @ other.T)[None],
    )


def test_unpaired_clips_are_compared_over_all_pairs():
    rng = np.random.default_rng(3)
    golden, other = rng.normal(size=(9, 6)) + 1, rng.normal(size=(11, 6)) + 0.5
    gram = unpaired_gram(golden, other)
    rows = [0, 2, 3, 4, 6, 7, 8, 10]
    found = LevelStatistics(gram, 0, confidence=0.9).compare_unpaired(rows)
    gg, dd = brute(golden, golden), brute(other[rows], other[rows])
    gd = np.mean([a @ b for a in golden for b in other[rows]])
    assert found.cosine == pytest.approx(gd / np.sqrt(gg * dd), rel=1e-10)
    assert found.norm_ratio == pytest.approx(np.sqrt(dd / gg), rel=1e-10)
    assert found.bias2 == pytest.approx(gg - 2 * gd + dd, rel=1e-10)


@pytest.mark.monte_carlo
def test_unpaired_intervals_cover_and_are_wider_than_paired_ones():
    hits, wider = [], []
    for seed in range(60):
        golden, copies = problem(0.8, 1.0, 24, 0.3, draws=1, seed=seed)[:, :, 0]
        other = problem(0.8, 1.0, 24, 0.3, draws=1, seed=seed + 1000)[1, :, 0]
        alone = LevelStatistics(unpaired_gram(golden, other), 0, confidence=0.95)
        found = alone.compare_unpaired(list(range(24)))
        hits.append(found.cosine_ci[0] <= 0.8 <= found.cosine_ci[1])
        paired = statistics_of(np.stack([golden, copies])[:, :, None]).compare([1])
        wider.append(np.diff(found.norm_ratio_ci)[0] > np.diff(paired.norm_ratio_ci)[0])
    assert np.mean(hits) >= 0.88  # 2.4 standard errors below 0.95
    assert np.mean(wider) >= 0.9


def test_few_unpaired_clips_have_no_interval():
    rng = np.random.default_rng(3)
    gram = unpaired_gram(rng.normal(size=(9, 6)) + 3, rng.normal(size=(5, 6)) + 3)
    found = LevelStatistics(gram, 0, confidence=0.9).compare_unpaired(list(range(5)))
    assert np.isfinite(found.cosine)
    assert np.isnan(found.cosine_ci).all()
