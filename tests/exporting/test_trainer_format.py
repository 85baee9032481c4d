import numpy as np
import pytest

from tqd_probe.exporting.level_distribution import on_grid, uniform
from tqd_probe.exporting.trainer_format import TrainedLevels, split_experts


def test_two_networks_split_the_levels():
    whole = TrainedLevels("clips", uniform().shifted(5.0), "shift 5", share=0.5)
    high, low = split_experts(whole, 0.875)
    below = 0.875 / (5 - 4 * 0.875)
    assert (high.expert, low.expert) == ("high", "low")
    assert high.share == pytest.approx(0.5 * (1 - below))
    assert low.share == pytest.approx(0.5 * below)
    assert low.levels.cdf(np.array([0.875])) == pytest.approx([1.0])
    assert high.levels.cdf(np.array([0.874, 1.0])) == pytest.approx([0.0, 1.0])


def test_the_boundary_itself_is_of_the_high_noise_network():
    grid = on_grid(np.array([0.25, 0.5, 0.9]))
    high, low = split_experts(TrainedLevels("x", grid, ""), 0.5)
    assert high.levels.points.tolist() == [0.5, 0.9]
    assert low.levels.points.tolist() == [0.25]
    (only,) = split_experts(TrainedLevels("x", grid, ""), 0.1)
    assert (only.expert, only.share) == ("high", 1.0)
