import numpy as np
import pytest
from probe_runs import FIGURES

from tqd_probe.plots.probe_figures import (
    draw_all,
    module_heatmap,
    norm_ratio_heatmap,
    similarity_curves,
    similarity_heatmap,
)


def cells(axes):
    """Values of a heatmap, NaN where they are masked."""
    return np.ma.filled(axes.collections[0].get_array().astype(float), np.nan)


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_the_heatmap_shows_each_cosine_in_its_row(probed):
    result, schedule = probed
    ceiling, axes, *_ = similarity_heatmap(result, schedule).axes
    names = ["blur:4", "freeze:5", "identity:1", "visual, pooled", "motion, pooled"]
    assert labels(axes) == names
    assert cells(ceiling)[0] == pytest.approx(result.golden.ceiling)
    for row, name in enumerate(("blur:4", "freeze:5", "identity:1")):
        assert cells(axes)[row] == pytest.approx(result.subjects[name].cosine)
    # five clips resolve nothing: every level is hatched over all rows
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert [patch.get_height() for patch in hatched] == [5, 5, 5]


def test_bands_are_outlined_in_the_row_of_their_class(probed):
    result, schedule = probed
    schedule.classes["motion_degraded"].bands = [(0.1, 0.3), (0.6, 1.0)]
    axes = similarity_heatmap(result, schedule).axes[1]
    outlined = [p.get_bbox().bounds for p in axes.patches if not p.get_hatch()]
    assert np.array(outlined) == pytest.approx(
        np.array([(0.1, 4.04, 0.2, 0.92), (0.6, 4.04, 0.4, 0.92)])
    )


def test_levels_to_avoid_are_dotted_in_the_row_of_their_class(probed):
    result, schedule = probed
    for entries in (schedule.classes, schedule.degradations_detail):
        for entry in entries.values():
            entry.avoid, entry.edges_ci = [], None
    schedule.degradations_detail["freeze:5"].avoid = [(0.4, 0.7)]
    axes = similarity_heatmap(result, schedule).axes[1]
    dotted = [line for line in axes.lines if line.get_linestyle() != "-"]
    (found,) = (line.get_xydata() for line in dotted)
    assert found == pytest.approx(np.array([(0.4, 1.9), (0.7, 1.9)]))


def test_norm_ratios_are_drawn_as_powers_of_two(probed):
    result, _ = probed
    axes, bar = norm_ratio_heatmap(result).axes
    ratio = result.subjects["blur:4"].norm_ratio
    assert cells(axes)[0] == pytest.approx(np.log2(ratio))
    assert "1" in labels(bar)


def test_module_groups_are_rows_and_classes_panels(probed):
    result, _ = probed
    panels = module_heatmap(result).axes[:2]
    assert labels(panels[0]) == list(result.modules)
    for axes, name in zip(panels, ("visual_degraded", "motion_degraded")):
        group = list(result.modules)[2]
        expected = result.modules[group].subjects[name].cosine
        assert cells(axes)[2] == pytest.approx(np.array(expected, float), nan_ok=True)


def test_curves_stand_in_the_panel_of_their_class(probed):
    result, schedule = probed
    panels = similarity_curves(result, schedule).axes
    assert [axes.get_title() for axes in panels] == [
        "visual degraded",
        "motion degraded",
        "controls",
    ]
    curve = panels[0].lines[0]
    assert curve.get_label() == "blur:4"
    assert curve.get_xdata() == pytest.approx([0.1, 0.5, 0.9])
    assert curve.get_ydata() == pytest.approx(result.subjects["blur:4"].cosine)


def test_a_run_draws_its_figures_in_the_order_of_reading(probed, tmp_path):
    paths = draw_all(*probed, tmp_path)
    assert {path.stem for path in paths} == set(FIGURES)
    assert paths[0].stem == "similarity_heatmap"
