import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import StepPatch

from tqd_probe.plots.mixture import cross_level_map, weights_figure


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.mark.parametrize("span", [(0.0, 1.0), (0.05, 0.95)])
def test_outer_bars_end_where_the_network_is_used(schedule, span):
    schedule = schedule.model_copy(
        update={
            "mixture": schedule.mixture.model_copy(
                update={"level_density": [0.3, 0.4, 0.3]}
            )
        }
    )
    figure = weights_figure(schedule, span)
    (stairs,) = [p for p in figure.axes[2].patches if isinstance(p, StepPatch)]
    values, edges, _ = stairs.get_data()
    assert list(edges) == pytest.approx([span[0], 0.3, 0.7, span[1]])
    assert np.sum(values * np.diff(edges)) == pytest.approx(1)
    areas = figure.axes[0].collections
    places = np.concatenate([area.get_paths()[0].vertices[:, 0] for area in areas])
    assert (places.min(), places.max()) == pytest.approx(span)


def test_the_map_across_levels_covers_the_network_s_range(schedule):
    table = [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]
    schedule = schedule.model_copy(update={"cross_level": {"golden": table}})
    figure = cross_level_map(schedule, (0.05, 0.95))
    corners = figure.axes[0].collections[0].get_coordinates()[..., 0]
    assert (corners.min(), corners.max()) == pytest.approx((0.05, 0.95))
