import itertools

import numpy as np
import pytest

from tqd_probe.statistics.u_statistics import (
    covariances,
    least_share,
    pair_mean,
    symmetric,
    two_sample_covariances,
    u_statistic,
)


def brute(a, b):
    """Mean of <a_i, b_j> over i != j, by loops."""
    pairs = itertools.permutations(range(len(a)), 2)
    return float(np.mean([a[i] @ b[j] for i, j in pairs]))


def test_u_statistic_equals_brute_force():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 5))
    assert u_statistic(a @ b.T) == pytest.approx(brute(a, b), rel=1e-12)
    assert u_statistic(a @ a.T) == pytest.approx(brute(a, a), rel=1e-12)


def test_pair_mean_of_a_symmetric_kernel_is_its_u_statistic():
    gram = np.random.default_rng(5).normal(size=(3, 6, 6))
    found = pair_mean(symmetric(gram))
    assert found == pytest.approx([u_statistic(each) for each in gram])


def test_unbiased_covariance_equals_brute_force_over_quadruples():
    rng = np.random.default_rng(0)
    kernels = symmetric(rng.normal(size=(2, 6, 6)))
    a, b = kernels
    pairs = [a[i, j] for i, j in itertools.permutations(range(6), 2)]
    means = np.mean(pairs), b.sum() / 30
    apart = [a[i, j] * b[k, m] for i, j, k, m in itertools.permutations(range(6), 4)]
    unbiased, _ = covariances(kernels)
    assert unbiased[0, 1] == pytest.approx(means[0] * means[1] - np.mean(apart))


def test_jackknife_equals_leaving_clips_out():
    kernel = symmetric(np.random.default_rng(1).normal(size=(1, 7, 7)))
    left = []
    for clip in range(7):
        kept = [i for i in range(7) if i != clip]
        left.append(kernel[0][np.ix_(kept, kept)].sum() / 30)
    _, least = covariances(kernel)
    jackknife = least / least_share(7)
    expected = 6 / 7 * ((left - np.mean(left)) ** 2).sum()
    assert jackknife[0, 0] == pytest.approx(expected)


@pytest.mark.monte_carlo
def test_variance_is_unbiased_and_the_jackknife_doubles_pure_noise():
    rng = np.random.default_rng(2)
    gradients = rng.normal(size=(4000, 8, 40))
    kernels = symmetric(gradients @ np.swapaxes(gradients, 1, 2))
    values = kernels.sum((1, 2)) / 56
    unbiased, least = covariances(kernels[:, None])
    jackknife = least / least_share(8)
    assert unbiased.mean() == pytest.approx(values.var(), rel=0.06)
    assert jackknife.mean() == pytest.approx(2 * values.var(), rel=0.25)


@pytest.mark.monte_carlo
def test_variance_is_unbiased_with_signal_too():
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(4000, 8, 10)) + 2
    kernels = symmetric(gradients @ np.swapaxes(gradients, 1, 2))
    values = kernels.sum((1, 2)) / 56
    unbiased, least = covariances(kernels[:, None])
    jackknife = least / least_share(8)
    assert unbiased.mean() == pytest.approx(values.var(), rel=0.06)
    assert jackknife.mean() == pytest.approx(values.var(), rel=0.1)


@pytest.mark.monte_carlo
def test_two_sample_variance_is_unbiased():
    rng = np.random.default_rng(4)
    golden = rng.normal(size=(4000, 7, 10)) + 0.3
    other = rng.normal(size=(4000, 9, 10)) - 0.2
    cross = golden @ np.swapaxes(other, 1, 2)
    own = symmetric(golden @ np.swapaxes(golden, 1, 2))
    values = 2 * cross.mean((1, 2)) + own.sum((1, 2)) / 42
    unbiased, _ = two_sample_covariances(
        own[:, None], 2 * cross[:, None], np.zeros((4000, 1, 9, 9))
    )
    assert unbiased.mean() == pytest.approx(values.var(), rel=0.06)


def test_the_least_share_of_the_jackknife_grows_with_clips():
    assert least_share(16) == pytest.approx(0.75)
    assert least_share(100) == pytest.approx(0.9)


def test_fewer_than_four_clips_are_refused():
    with pytest.raises(ValueError, match="at least 4"):
        covariances(np.ones((1, 3, 3)))
