import numpy as np
import pytest

from tqd_probe.statistics.semidefinite import positive_part


def test_negative_eigenvalues_are_removed_and_their_size_reported():
    repaired, size = positive_part(np.diag([2.0, 1.0, -0.3]))
    assert repaired == pytest.approx(np.diag([2.0, 1.0, 0.0]))
    assert size == pytest.approx(0.3)


def test_a_positive_semidefinite_matrix_stays_as_it_is():
    means = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.2, -0.4, 0.7]])
    repaired, size = positive_part(means @ means.T)
    assert repaired == pytest.approx(means @ means.T)
    assert size == 0
