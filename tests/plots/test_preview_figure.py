from pathlib import Path

import pytest
from band_schedules import VERSION_2

from tqd_probe.exporting.level_distribution import mixture, point, uniform
from tqd_probe.exporting.trainer_format import TimestepPreview, TrainedLevels
from tqd_probe.plots.palette import CLASS_COLOURS
from tqd_probe.plots.preview_figure import preview_figure
from tqd_probe.schedules.band_schedule import BandSchedule

CLAMPED = mixture([(0.3, uniform(0.875, 1.0)), (0.7, point(0.875))])
PREVIEW = TimestepPreview(
    trainer="NeMo Automodel",
    source=Path("wan.yaml"),
    trained=[
        TrainedLevels("all data sets: golden", uniform(), "uniform", share=0.75),
        TrainedLevels("clips", CLAMPED, "clamped", "high", share=0.25),
    ],
)


def test_densities_and_levels_drawn_again_and_again():
    (axes,) = preview_figure(PREVIEW).axes
    curves = [patch.get_data() for patch in axes.patches]
    assert len(curves) == 4  # an outline and a fill each
    assert curves[0].values == pytest.approx([1.0] * 50)
    assert curves[2].values[:43].sum() == 0
    assert curves[2].values[44:] == pytest.approx([0.3 / 0.125] * 6)
    (stem,) = axes.lines
    assert list(stem.get_xdata()) == [0.875, 0.875]
    assert [text.get_text() for text in axes.texts] == ["70 % at 0.875"]
    (legend,) = axes.figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == [
        "all data sets: golden (75 %)",
        "clips, high-noise network (25 %)",
    ]
    from matplotlib.colors import to_hex

    outline = axes.patches[0].get_edgecolor()
    assert to_hex(outline).upper() == CLASS_COLOURS["golden"]


def test_the_legend_covers_no_curve():
    figure = preview_figure(PREVIEW)
    figure.canvas.draw()
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 < figure.axes[0].get_window_extent().y0


def test_bands_stand_below_on_the_same_axis():
    schedule = BandSchedule.model_validate(VERSION_2)
    above, strip = preview_figure(PREVIEW, schedule).axes
    bars = [each.get_paths() for each in strip.collections]
    assert [len(paths) for paths in bars] == [2, 2, 2]  # use, test, avoid
    used = bars[0][1].get_extents()
    assert (used.x0, used.x1) == pytest.approx((0.72, 1.0))
    assert [each.get_text() for each in strip.get_yticklabels()] == ["visual degraded"]
    assert strip.get_xlim() == above.get_xlim() == (0, 1)
    assert "noise level" in strip.get_xlabel()
