import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from tqd_probe.plots.heatmap import (
    boundary,
    draw_cells,
    hatch_unresolved,
    mark_boundary,
    outline_bands,
    result_edges,
    sorted_names,
    write_values,
)
from tqd_probe.plots.palette import BAND_COLOUR

EDGES = np.array([0.0, 0.3, 0.34, 1.0])
VALUES = np.array([[0.25, 0.5, np.nan], [0.9, -0.1, 1.0]])


@pytest.fixture
def axes():
    return Figure().subplots()


def test_columns_have_their_width_in_sigma_and_rows_run_down(axes):
    mesh = draw_cells(axes, EDGES, VALUES, cmap="viridis", vmin=0, vmax=1)
    assert mesh.get_coordinates()[0, :, 0].tolist() == EDGES.tolist()
    assert axes.get_ylim() == (2, 0)
    assert mesh.get_array().mask.tolist() == [[False, False, True], [False] * 3]


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("value", [".25", ".90", "1.00"]), ("power", ["1.2", "1.9", "2"])],
)
def test_numbers_stand_in_cells_that_are_wide_enough(axes, digits, expected):
    mesh = draw_cells(axes, EDGES, VALUES, cmap="viridis", vmin=0, vmax=1)
    write_values(axes, EDGES, VALUES, mesh, digits)
    assert [text.get_text() for text in axes.texts] == expected
    assert axes.texts[0].get_position() == pytest.approx((0.15, 0.5))
    assert [text.get_color() for text in axes.texts] == ["white", "black", "black"]


def test_unresolved_columns_are_hatched_and_bands_outlined(axes):
    hatch_unresolved(axes, EDGES, [True, False, True], 0, 2)
    outline_bands(axes, 1, [(0.5, 0.75)])
    hatched, outlined = axes.patches
    assert hatched.get_bbox().bounds == pytest.approx((0.3, 0, 0.04, 2))
    assert hatched.get_hatch()
    assert outlined.get_bbox().bounds == pytest.approx((0.5, 1.04, 0.25, 0.92))
    assert outlined.get_edgecolor() == to_rgba(BAND_COLOUR)


def test_classes_come_last_and_cells_reach_the_ends_of_the_range(probed):
    result, _ = probed
    names = sorted_names(result)
    assert set(names) == set(result.subjects)
    kinds = [result.subjects[name].kind == "class" for name in names]
    assert kinds == [False, False, False, True, True]
    assert result_edges(result) == pytest.approx([0, 0.3, 0.7, 1])


@pytest.mark.parametrize(("expert", "place"), [("high", 0.875), ("low", 0.9)])
def test_experts_meet_at_the_end_of_the_range(axes, probed, expert, place):
    result, _ = probed
    mark_boundary(axes, result)
    assert len(axes.lines) == 0
    model = result.model.model_copy(update={"expert": expert})
    noise = result.noise.model_copy(update={"range": (0.875, 0.9)})
    expert_result = result.model_copy(update={"model": model, "noise": noise})
    assert boundary(expert_result) == place
    mark_boundary(axes, expert_result)
    assert axes.lines[0].get_xdata() == [place, place]
