import math
from array import array

import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.normalise import fit_scale


def test_quantile_is_the_middle_rank_and_ignores_scale():
    values = np.array([3.0, 1.0, 2.0, 2.0])
    scale = fit_scale("quantile", values, "mq")
    np.testing.assert_allclose(scale.apply(values), [0.875, 0.125, 0.5, 0.5])
    other = fit_scale("quantile", np.exp(5 * values), "mq")
    np.testing.assert_array_equal(other.apply(np.exp(5 * values)), scale.apply(values))


def test_quantile_resists_a_heavy_tail_that_minmax_does_not():
    values = array("d", [*np.linspace(0.5, 2, 99), 267.0])
    spread = fit_scale("quantile", values, "mq").apply(np.array(values))
    assert spread.mean() == pytest.approx(0.5)
    assert (spread > 0.5).sum() == 50
    squeezed = fit_scale("minmax", values, "mq").apply(np.array(values))
    assert squeezed.max() == 1
    assert np.sort(squeezed)[-2] < 0.006


def test_logistic_puts_median_and_quartiles():
    values = np.linspace(-3, 5, 101)  # median 1, quartiles -1 and 3
    scale = fit_scale("logistic", values, "vq")
    np.testing.assert_allclose(scale.apply(np.array([-1, 1, 3.0])), [0.25, 0.5, 0.75])
    assert scale.apply(np.array([4.0]))[0] == pytest.approx(
        1 / (1 + math.exp(-3 / (4 / (2 * math.log(3)))))
    )
    assert scale.describe(values)["median"] == 1


def test_none_keeps_scores_and_refuses_others():
    values = np.array([0, 0.25, 1])
    assert fit_scale("none", values, "mq").apply(values).tolist() == [0, 0.25, 1]
    with pytest.raises(InputError, match=r"mq: 1\.5 is outside"):
        fit_scale("none", np.array([0.2, 1.5]), "mq")
    with pytest.raises(InputError, match=r"mq: -1 is outside"):
        fit_scale("none", np.array([-1, 1.0]), "mq")


def test_scores_that_do_not_vary():
    same = np.full(4, 2.5)
    assert fit_scale("quantile", same, "mq").apply(same).tolist() == [0.5] * 4
    with pytest.raises(InputError, match=r"all 4 scores are 2\.5"):
        fit_scale("minmax", same, "mq")
    with pytest.raises(InputError, match="quartiles that differ"):
        fit_scale("logistic", np.array([1, 2, 2, 2, 2, 2, 9.0]), "mq")
