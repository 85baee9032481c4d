import numpy as np
import pytest
from known_gradients import problem, statistics_of

from tqd_probe.statistics.golden_signal import clips_to_resolve, split_variance
from tqd_probe.statistics.u_statistics import u_statistic


@pytest.mark.monte_carlo
def test_pure_noise_is_not_resolved():
    rng = np.random.default_rng(4)
    resolved = []
    for _ in range(40):
        gradients = rng.normal(size=(2, 12, 2, 50))
        resolved.append(statistics_of(gradients).golden().resolved)
    assert np.mean(resolved) <= 0.1


def test_signal_is_resolved_and_described():
    gradients = problem(1.0, 1.0, 200, 0.1, draws=2, size=60)
    golden = statistics_of(gradients).golden()
    assert golden.resolved
    assert golden.signal == pytest.approx(1.0, rel=0.05)
    assert golden.variance_clips == pytest.approx(60 * 0.01, rel=0.1)
    assert golden.variance_draws == pytest.approx(60 * 0.01, rel=0.1)
    assert golden.snr == pytest.approx(1 / (60 * 0.015), rel=0.1)
    variance = 60 * 0.015
    assert golden.ceiling == pytest.approx(1 / (1 + variance / 200), rel=0.01)
    assert golden.clips_to_resolve == 200


def test_variance_split_with_one_draw():
    draws = np.full((5, 1, 1), 3.0)
    between, within = split_variance(draws, 1.0)
    assert between == pytest.approx(2.0)
    assert np.isnan(within)


def test_clips_to_resolve_is_about_right():
    truth = problem(1.0, 1.0, 2000, 1.2, draws=1, size=400)[0, :, 0]
    small = truth[:12]
    wanted = [
        clips_to_resolve(g @ g.T, u_statistic(g @ g.T), 0.95)
        for g in truth.reshape(-1, 40, 400)
        if u_statistic(g @ g.T) > 0
    ]
    wanted = int(np.median(wanted))
    assert 40 < wanted < 400
    more = truth[: 3 * wanted]
    assert u_statistic(more @ more.T) > 0.5
    assert np.isnan(clips_to_resolve(small @ small.T, -1.0, 0.95))


def test_few_clips_are_never_resolved():
    gradients = problem(1.0, 1.0, 7, 0.01)
    golden = statistics_of(gradients).golden()
    assert golden.signal_ci[0] > 0.9
    assert not golden.resolved
    assert golden.clips_to_resolve == 8
    assert statistics_of(problem(1.0, 1.0, 8, 0.01)).golden().resolved
