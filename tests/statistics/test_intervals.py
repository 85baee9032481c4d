import itertools

import numpy as np
import pytest

from tqd_probe.statistics.intervals import (
    covariances,
    least_share,
    mean_interval,
    quantile,
    ratio_interval,
    symmetric,
    two_sample_covariances,
)


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


def test_variance_is_unbiased_and_the_jackknife_doubles_pure_noise():
    rng = np.random.default_rng(2)
    gradients = rng.normal(size=(4000, 8, 40))
    kernels = symmetric(gradients @ np.swapaxes(gradients, 1, 2))
    values = kernels.sum((1, 2)) / 56
    unbiased, least = covariances(kernels[:, None])
    jackknife = least / least_share(8)
    assert unbiased.mean() == pytest.approx(values.var(), rel=0.06)
    assert jackknife.mean() == pytest.approx(2 * values.var(), rel=0.25)


def test_variance_is_unbiased_with_signal_too():
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(4000, 8, 10)) + 2
    kernels = symmetric(gradients @ np.swapaxes(gradients, 1, 2))
    values = kernels.sum((1, 2)) / 56
    unbiased, least = covariances(kernels[:, None])
    jackknife = least / least_share(8)
    assert unbiased.mean() == pytest.approx(values.var(), rel=0.06)
    assert jackknife.mean() == pytest.approx(values.var(), rel=0.1)


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


def test_fieller_interval_is_where_the_contrast_may_be_zero():
    covariance = np.array([[0.04, 0.01], [0.01, 0.02]])
    top, bottom = np.array(1.0), np.array(2.0)
    low, high = ratio_interval(top, bottom, covariance, 0 * covariance, 1.5)
    for ratio in (float(low), float(high)):
        contrast = np.array([1, -ratio])
        error = np.sqrt(contrast @ covariance @ contrast)
        assert abs(1.0 - ratio * 2.0) == pytest.approx(1.5 * error)
    assert low < 0.5 < high


def test_fieller_interval_is_undefined_when_the_denominator_may_be_zero():
    covariance = np.eye(2)
    found = ratio_interval(np.array(1.0), np.array(1.5), covariance, covariance, 2.0)
    assert np.isnan(found).all()


def test_an_unlucky_variance_cannot_close_an_interval():
    low, high = mean_interval(np.array(1.0), np.array(-0.2), np.array(1.0), 2.0)
    assert (float(low), float(high)) == pytest.approx((1 - 2, 1 + 2))


def test_the_least_share_of_the_jackknife_grows_with_clips():
    assert least_share(16) == pytest.approx(0.75)
    assert least_share(100) == pytest.approx(0.9)


def test_quantile_is_students():
    assert quantile(8, 0.95) == pytest.approx(2.3646, abs=1e-4)


def test_fewer_than_four_clips_are_refused():
    with pytest.raises(ValueError, match="at least 4"):
        covariances(np.ones((1, 3, 3)))
