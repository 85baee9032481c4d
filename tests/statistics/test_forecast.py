import numpy as np
import pytest
from known_gradients import problem, statistics_of

from tqd_probe.statistics.forecast import forecast


@pytest.mark.monte_carlo
def test_widths_of_larger_runs_are_forecast():
    """Over many pilots and runs; a single pilot is off by a fifth."""
    kind = {"cosine": 0.8, "ratio": 1.2, "noise": 0.3}
    pilots = [
        forecast(statistics_of(problem(clips=24, seed=s, **kind)), [1])
        for s in range(30)
    ]
    for clips, draws, close in ((24, 2, 0.15), (60, 2, 0.15), (60, 1, 0.25)):
        found = []
        for seed in range(30):
            gradients = problem(clips=clips, draws=draws, seed=100 + seed, **kind)
            low, high = statistics_of(gradients).compare([1]).cosine_ci
            found.append(high - low)
        forecasts = [p.width(clips, draws, 0.95) for p in pilots]
        assert np.median(forecasts) == pytest.approx(np.median(found), rel=close)


@pytest.mark.monte_carlo
def test_single_runs_come_out_in_the_prediction_interval():
    kind = {"cosine": 0.8, "ratio": 1.2, "noise": 0.3}
    widths = []
    for seed in range(30):
        gradients = problem(clips=40, seed=100 + seed, **kind)
        low, high = statistics_of(gradients).compare([1]).cosine_ci
        widths.append(high - low)
    held, spread = [], []
    for seed in range(15):
        pilot = forecast(statistics_of(problem(clips=32, seed=seed, **kind)), [1])
        low, high = pilot.prediction_interval(40, 2, 0.95)
        assert low < pilot.width(40, 2, 0.95) < high
        held.append(np.mean([low <= width <= high for width in widths]))
        spread.append(high / low)
    assert 0.85 < np.mean(held) <= 1
    assert np.median(spread) < 6


@pytest.mark.monte_carlo
def test_a_larger_pilot_has_a_narrower_prediction_interval():
    def ratio_of_ends(clips, seed):
        gradients = problem(0.8, 1.2, clips, 0.3, seed=seed)
        pilot = forecast(statistics_of(gradients), [1])
        low, high = pilot.prediction_interval(1000, 2, 0.95)
        return high / low

    small, large = (
        np.median([ratio_of_ends(clips, seed) for seed in range(8)])
        for clips in (12, 48)
    )
    assert large < 0.8 * small


def test_clips_for_a_width_is_the_least_that_gives_it():
    some = forecast(statistics_of(problem(0.8, 1.2, 24, 0.3)), [1])
    clips = some.clips_for(0.1, 2, 0.95)
    assert some.width(clips, 2, 0.95) <= 0.1 < some.width(clips - 1, 2, 0.95)
    assert some.clips_for(0.1, 4, 0.95) < clips
    assert some.resolves(clips, 2, 0.95)


def test_a_pilot_without_signal_cannot_tell():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(2, 8, 1, 40))
    gradients -= gradients.mean(1, keepdims=True)  # U_gg below 0
    some = forecast(statistics_of(gradients), [1])
    assert np.isnan(some.width(50, 1, 0.95))
    assert some.clips_for(0.1, 1, 0.95) is None
    assert np.isnan(some.prediction_interval(50, 1, 0.95)).all()
