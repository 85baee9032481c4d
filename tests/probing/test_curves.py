"""Curves over levels from Gram matrices."""

import numpy as np
import pytest

from tqd_probe.gradients.gram import gram_from_columns
from tqd_probe.probing.curves import similarity_curves


def gram(strength):
    """Golden gradients around a common direction, and copies twice as long."""
    rng = np.random.default_rng(0)
    golden = strength * np.ones(40) + rng.normal(size=(12, 2, 40))
    both = np.stack([golden, 2 * golden])
    return gram_from_columns(
        lambda start, stop: both[..., start:stop],
        {"all": (0, 40)},
        np.ones((12, 2, 2)),
    )


def test_curves_have_a_value_per_level_and_none_where_undefined():
    golden, curves = similarity_curves(
        [gram(3.0), gram(0.0)], 0, {"longer": [1]}, {}, 0.95
    )
    assert golden.resolved == [True, False]
    longer = curves["longer"]
    assert longer.cosine[0] == pytest.approx(1, abs=1e-9)
    assert longer.norm_ratio[0] == pytest.approx(2, rel=1e-9)
    assert longer.cosine_ci[0][0] <= longer.cosine[0] + 1e-12
    assert longer.cosine_ci[1] is None
    assert len(longer.bias2) == 2
