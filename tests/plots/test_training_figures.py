import numpy as np
import pytest
from matplotlib.colors import to_rgba

from tqd_probe.plots.palette import CLASS_COLOURS
from tqd_probe.plots.training_figures import (
    contact_sheet_figure,
    density_figure,
    validation_figure,
)
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.level_buckets import BUCKETS
from tqd_probe.sampling.level_density import realised_density
from tqd_probe.sampling.registry import make_sampler


@pytest.mark.parametrize("boundary", [None, 0.875])
def test_bars_are_the_counted_draws_of_each_class(boundary):
    pool = ClipPool.of(["golden"] * 3 + ["visual_degraded"] * 5)
    stream = DrawStream(make_sampler("uniform"), pool, 0)
    density = realised_density(stream, 4000, boundary)
    left, right = density_figure(density, "a run").axes
    assert left.get_title() == "a run"
    bars = [bar for bar in left.patches if bar.get_width() < 0.1]
    heights = np.array([bar.get_height() for bar in bars]).reshape(-1, BUCKETS)
    assert heights / BUCKETS == pytest.approx(density.counts / density.counts.sum())
    for row, name in enumerate(density.classes):
        colour = bars[row * BUCKETS].get_facecolor()
        assert colour[:3] == to_rgba(CLASS_COLOURS[name])[:3]
    marked = [line for line in right.lines if list(line.get_xdata()) == [0.875] * 2]
    assert len(marked) == (boundary is not None)


def test_validation_shows_changes_over_steps_and_by_bucket():
    edges = [0.0, 0.5, 1.0]
    rows = [
        {
            "step": step,
            "sigma_edges": edges,
            "classes": {
                "golden": {
                    "change": change,
                    "change_ci": [change - 0.1, change + 0.1],
                    "bucket_change": [change, 2 * change],
                    "bucket_change_ci": [[change - 0.1, change + 0.3]] * 2,
                },
                "motion_degraded": {  # a single clip: no interval
                    "change": -change,
                    "change_ci": None,
                    "bucket_change": [0.0, change],
                    "bucket_change_ci": [None, None],
                },
            },
        }
        for step, change in ((0, 0.0), (10, -0.2), (20, -0.3))
    ]
    left, right = validation_figure(rows).axes
    curves = {line.get_label(): line for line in left.lines}
    assert list(curves["golden"].get_xdata()) == [0, 10, 20]
    assert list(curves["motion_degraded"].get_ydata()) == [0.0, 0.2, 0.3]
    assert len(left.collections) == 1  # the ribbon of golden
    golden, motion = right.containers
    assert list(golden.lines[0].get_ydata()) == [-0.3, -0.6]
    assert (golden.has_yerr, motion.has_yerr) == (True, False)
    assert right.get_ylabel() == "change at step 20"


def test_a_contact_sheet_has_frames_from_first_to_last():
    videos = np.zeros((2, 9, 4, 6, 3), np.uint8)
    videos += np.arange(9, dtype=np.uint8)[None, :, None, None, None]
    figure = contact_sheet_figure(videos, ["a cat", "x" * 200])
    shown = [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes]
    assert shown == [0, 2, 3, 5, 6, 8] * 2
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "a cat"
    assert titles[6] == "x" * 87 + "..."
