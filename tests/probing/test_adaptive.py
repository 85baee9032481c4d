import numpy as np
import pytest
from probe_runs import finished

from tqd_probe.probing import adaptive
from tqd_probe.statistics.similarity import Similarity


def test_stages_rise_to_all():
    assert adaptive.interim_stages(24, 2, False) == [(24, 2)]
    assert adaptive.interim_stages(24, 2, True) == [(8, 1), (24, 1), (24, 2)]
    assert adaptive.interim_stages(5, 1, True) == [(5, 1)]


@pytest.mark.parametrize(
    ("cosine_ci", "norm_ci", "expected"),
    [
        ((0.92, 0.99), (0.8, 1.2), True),  # inside
        ((0.2, 0.85), (0.1, 9.0), True),  # outside by the cosine
        ((0.92, 0.99), (2.1, 3.0), True),  # outside by the norm ratio
        ((0.85, 0.99), (0.8, 1.2), False),
        ((0.92, 0.99), (1.5, 2.5), False),
        ((np.nan, np.nan), (0.8, 1.2), False),
    ],
)
def test_a_comparison_is_decided_when_clear_of_thresholds(cosine_ci, norm_ci, expected):
    found = Similarity(0.9, cosine_ci, 0.9, 1.0, norm_ci, 0.0, (-0.1, 0.1))
    assert adaptive.is_clear(found, 0.9, (0.5, 2.0)) is expected


def test_adaptive_stops_where_all_is_clear(pipeline, tmp_path):
    """Clear levels stop after 8 clips and one draw; resumed runs stop there too."""
    out = tmp_path / "adaptive"
    base = "--num-clips 10 --levels 0.3,0.7 --degradations identity:1 --adaptive"
    found = finished(pipeline, out, base, "--cos-min 0.5")
    cost = found["cost"]
    stops = list(zip(cost["clips_per_level"], cost["draws_per_level"]))
    assert set(stops) <= {(8, 1), (10, 1), (10, 2)}
    resolved = found["golden"]["resolved"]
    assert (8, 1) in stops  # identical clips are as good as golden
    assert all(ok or stop == (10, 2) for ok, stop in zip(resolved, stops))
    expected = sum(clips * draws for clips, draws in stops) * 2
    assert cost["clip_gradients"] == expected
    before = (out / "gradsim.json").read_bytes()
    level = stops.index((8, 1))
    for path in (out / "gradients").glob(f"*-0{level}.safetensors"):
        path.unlink()
    finished(pipeline, out, base, "--cos-min 0.5")
    assert (out / "gradsim.json").read_bytes() == before
