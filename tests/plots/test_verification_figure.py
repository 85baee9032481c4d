import numpy as np
import pytest

from tqd_probe.plots.verification_figure import verification_figure
from tqd_probe.sampling.level_buckets import bucket_edges
from tqd_probe.statistics.paired_difference import Difference


@pytest.fixture
def figure():
    gap = Difference(-0.1, -0.2, 0.0)
    return verification_figure(
        overall={"bands": gap, "beta": gap},
        by_bucket={"bands": [gap] * 10, "beta": [gap] * 10},
        sigma_edges=bucket_edges((0.875, 1.0)).tolist(),
        baseline="uniform",
    )


def test_differences_stand_at_the_levels_of_the_expert(figure):
    overall, by_level = figure.axes
    labels = [text.get_text() for text in overall.get_yticklabels()]
    assert labels == ["bands", "beta"]
    assert overall.get_xlabel() == "golden loss against uniform"
    assert by_level.get_xlim() == pytest.approx((0.875, 1.0))
    points = by_level.containers[0].lines[0].get_xdata()
    edges = bucket_edges((0.875, 1.0))
    assert np.array(points) == pytest.approx((edges[1:] + edges[:-1]) / 2)
