"""Distances between what is generated and golden clips."""

import numpy as np
import pytest


def test_frechet_distance_of_gaussians_is_the_known_one():
    from analyses.tables.generated_clips import frechet

    rng = np.random.default_rng(0)
    golden = [{"a": x, "b": y} for x, y in rng.standard_normal((4000, 2))]
    moved = [{"a": 2 * r["a"] + 3, "b": r["b"]} for r in golden]
    assert frechet(golden, golden, ("a", "b")) == pytest.approx(0, abs=1e-6)
    # |mean|^2 = 9; trace part (2 - 1)^2 = 1; in units of the golden deviation, near 1
    assert frechet(moved, golden, ("a", "b")) == pytest.approx(10, rel=0.1)
