import numpy as np
import pytest

from tqd_probe.core.quality_beta import KAPPA_BASE, beta_parameters, keep_probability


@pytest.mark.parametrize(
    ("mq", "vq", "alpha", "beta"),
    [
        (0.5, 0.5, 1.0, 1.0),  # equal scores and kappa 2: uniform
        (1.0, 0.5, 3.75, 1.25),  # mu 0.75, kappa 2 + 6 / 2
        (0.5, 1.0, 1.25, 3.75),  # the mirror image
        (1.0, 0.0, 8.0, 0.0),  # the formula's edge
    ],
)
def test_beta_parameters_by_hand(mq, vq, alpha, beta):
    assert beta_parameters(mq, vq, 2.0, 8.0) == (alpha, beta)


def test_clips_are_taken_together():
    found = beta_parameters([0.5, 1.0], [0.5, 0.5], KAPPA_BASE["logit_normal"], 8.0)
    np.testing.assert_allclose(found, [[2.0, 4.5], [2.0, 1.5]])
    np.testing.assert_array_equal(keep_probability([0.2, 0.9], [0.6, 0.1]), [0.6, 0.9])
