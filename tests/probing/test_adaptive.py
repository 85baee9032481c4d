import numpy as np
import pytest
from grams import gram_of
from probe_runs import finished

from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.probing import adaptive
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.statistics.similarity import LevelStatistics, Similarity


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


@pytest.mark.parametrize("clips", [5, 8, 24, None])
@pytest.mark.parametrize("draws", [1, 4])
def test_every_analysis_has_its_part_of_the_error(clips, draws):
    options = {"ckpt": "tiny", "num_clips": clips, "draws": draws, "least_clips": 4}
    run = ProbeRunSettings(adaptive=True, **options)
    assert run.analyses() == len(adaptive.interim_stages(clips or 99, draws, True))
    assert run.level_confidence() == pytest.approx(1 - 0.05 / run.analyses())
    assert ProbeRunSettings(**options).level_confidence() == 0.95


@pytest.mark.monte_carlo
def test_final_intervals_hold_a_cosine_at_the_bar():
    """Five analyses, cosine .9: with 95 % each, .11 of final intervals missed it."""
    rng = np.random.default_rng(0)
    run = ProbeRunSettings(ckpt="tiny", adaptive=True, num_clips=24, draws=4)
    means = np.zeros((2, 1, 1, 30))
    means[0, 0, 0, 0], means[1, 0, 0, :2] = 1, (0.9, np.sqrt(0.19))
    missed = 0
    for _ in range(40):
        kept = rng.normal(0, np.sqrt(0.05), (2, 24, 1, 30))
        rows = means + kept + rng.normal(0, np.sqrt(0.1), (2, 24, 4, 30))
        for clips, draws in adaptive.interim_stages(24, 4, True):
            gram = gram_of(rows[:, :clips, :draws])
            if adaptive.is_decided(gram, parse_degradations("blur:3"), {}, run):
                break
        level = LevelStatistics(gram, 0, confidence=run.level_confidence())
        low, high = level.compare([1]).cosine_ci
        missed += not low <= 0.9 <= high
    assert missed <= 2


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
