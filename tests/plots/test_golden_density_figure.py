"""The figure of levels in proportion to golden gradients."""

import numpy as np
import pytest
from probe_results import probe_result

from tqd_probe.plots.golden_density_figure import golden_density_figure
from tqd_probe.probing.derive_schedule import derive_schedule

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def test_intervals_are_on_the_scale_of_the_density():
    result = probe_result(LEVELS, {"blur:3": 0.9})
    golden = result.golden
    golden.signal = [16.0, 9.0, None, 1.0, 1.0]
    golden.signal_ci = [(9.0, 25.0), (4.0, 16.0), None, (0.25, 4.0), (0.25, 4.0)]
    golden.resolved = [True, True, False, True, True]
    result.noise.shift = 5.0
    density = derive_schedule(result).golden_density
    axes = golden_density_figure(result, density).axes[0]
    (bars,) = (each for each in axes.collections if hasattr(each, "get_segments"))
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    one = density.values[3]  # of norm 1
    assert ends / one == pytest.approx(
        np.array([[3, 5], [2, 4], [0.5, 2], [0.5, 2]]), rel=1e-6
    )
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [
        "in proportion to golden gradients",
        "not resolved: between neighbours",
        "uniform",
        "logit-normal",
        "uniform, shift 5",
    ]
