"""Shares of golden gain predicted from cosines."""

import numpy as np
import pytest

from analyses.worth.expected_gain import errors_of, predict


def test_a_rising_share_is_predicted_and_a_fall_is_levelled():
    cosines = np.array([0.1, 0.5, 0.9, 1.0])
    assert predict(cosines, cosines, np.array([0.3])) == pytest.approx([0.3])
    shares = np.array([0.0, 0.6, 0.4, 1.0])  # the middle ones change places
    assert predict(cosines, shares, np.array([0.5, 0.9])) == pytest.approx([0.5, 0.5])


def test_a_checkpoint_is_predicted_by_the_others_alone():
    cosines = np.array([0.0, 0.1, 0.5, 0.55, 0.9, 1.0])
    shares = np.array([0.0, 0.1, 0.5, 5.0, 0.9, 1.0])
    checkpoints = np.array([0, 0, 1, 2, 0, 0])
    errors = errors_of(cosines, shares, checkpoints)
    assert errors[3] == pytest.approx(5.0 - (0.5 + 0.05 * 0.4 / 0.4))
    above = (5.0 + 0.9 + 1.0) / 3  # 5.0 is levelled with what lies above it
    assert errors[2] == pytest.approx(0.5 - (0.1 + 0.4 / 0.45 * (above - 0.1)))
