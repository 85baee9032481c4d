"""The density of levels in proportion to golden gradients."""

import numpy as np
import pytest
from pydantic import ValidationError

from tqd_probe.schedules.golden_density import (
    GoldenDensity,
    density_knots,
    golden_density,
    integral,
    normalised,
)

LEVELS = np.array([0.1, 0.5, 0.9])


def test_the_density_is_in_proportion_to_the_norm_and_integrates_to_one():
    """Norms 4, 2, 1: 4 x .1, 3 x .4, 1.5 x .4 and 1 x .1 add up to 2.3."""
    found = golden_density(LEVELS, np.array([16.0, 4.0, 1.0]), np.ones(3, bool))
    assert found.values == pytest.approx(np.array([4, 2, 1]) / 2.3)
    assert integral(LEVELS, np.array(found.values)) == pytest.approx(1)


@pytest.mark.parametrize("signal", [0.0, -1.0, np.nan, 9.0])
def test_a_level_not_resolved_lies_between_its_neighbours(signal):
    """Whatever its own signal is: 0 by chance, it would never be trained."""
    signals, resolved = np.array([16.0, signal, 1.0]), np.array([True, False, True])
    found = golden_density(LEVELS, signals, resolved)
    assert np.array(found.values) / found.values[2] == pytest.approx([4, 2.5, 1])


def test_one_resolved_level_gives_no_density():
    signals = np.array([16.0, 4.0, 1.0])
    assert golden_density(LEVELS, signals, np.array([False, True, False])) is None
    assert golden_density(LEVELS[:1], signals[:1], np.ones(1, bool)) is None


def test_a_density_is_constant_beyond_its_levels():
    places, at = density_knots(LEVELS, np.array([3.0, 2.0, 1.0]))
    assert (places.tolist(), at.tolist()) == ([0, 0.1, 0.5, 0.9, 1], [3, 3, 2, 1, 1])
    places, at = density_knots(np.array([0.0, 1.0]), np.array([1.5, 0.5]))
    assert (places.tolist(), at.tolist()) == ([0, 1], [1.5, 0.5])
    assert normalised(np.array([0.0, 1.0]), np.array([3.0, 1.0])).values == [1.5, 0.5]


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [-1.0, 2.0], [float("nan")]])
def test_no_density_is_refused(values):
    with pytest.raises(ValidationError):
        GoldenDensity(of="golden_signal", values=values)
