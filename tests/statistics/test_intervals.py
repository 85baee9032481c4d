import numpy as np
import pytest

from tqd_probe.statistics.intervals import (
    mean_interval,
    ratio_interval,
    sketch_covariance,
    student_quantile,
)


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


def test_quantile_is_students():
    assert student_quantile(8, 0.95) == pytest.approx(2.3646, abs=1e-4)


def test_the_sketch_adds_the_error_of_the_mean_of_its_parts():
    parts = np.array([[1.0, 2.0], [2.0, 2.5], [4.0, 1.5], [3.0, 2.0]])
    reach = student_quantile(4, 0.95)  # as few clips as parts: nothing is widened
    found = sketch_covariance(parts, reach, 0.95)
    assert found == pytest.approx(np.cov(parts.T) / 4)
    many_clips = sketch_covariance(parts, 2.0, 0.95)
    assert many_clips == pytest.approx(found * (reach / 2.0) ** 2)
