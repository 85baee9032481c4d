import numpy as np
import pytest
from grams import gram_of

from tqd_probe.probing.clip_usefulness import class_usefulness, level_usefulness
from tqd_probe.statistics.u_statistics import u_statistic


def test_usefulness_equals_brute_force():
    rng = np.random.default_rng(0)
    paired, unpaired = rng.normal(size=(2, 6, 2, 9)) + 0.7, rng.normal(size=(4, 2, 9))
    found = level_usefulness(
        gram_of(paired, unpaired), ["golden", "blur:3"], {"visual_degraded": [1, 3]}
    )
    mean = paired.mean(2)
    signal = u_statistic(mean[0] @ mean[0].T)
    others = [np.delete(mean[0], i, axis=0).mean(0) for i in range(6)]
    for k, name in enumerate(("golden", "blur:3")):
        expected = [g @ o / signal for g, o in zip(mean[k], others)]
        assert found[name].values == pytest.approx(expected)
    own = unpaired.mean(1)[[1, 3]] @ mean[0].mean(0) / signal
    assert found["visual_degraded"].values == pytest.approx(own)
    assert found["golden"].values.mean() == pytest.approx(1.0)


def test_shrinking_takes_off_the_noise_of_draws():
    rng = np.random.default_rng(1)
    truth = 1 + 0.3 * rng.normal(size=400)
    toward = truth[:, None] + 0.6 * rng.normal(size=(400, 2))
    found = class_usefulness(toward, 1.0, 1)
    assert found.error == pytest.approx(0.6 / np.sqrt(2), rel=0.1)
    error = [np.mean((v - truth) ** 2) for v in (found.values, found.shrunk)]
    best = 0.3**2 * 0.18 / (0.3**2 + 0.18)  # variance of the posterior
    assert error[1] == pytest.approx(best, rel=0.2)
    assert error[1] < 0.5 * error[0]


def test_one_draw_cannot_be_shrunk_and_no_signal_gives_nothing():
    one = class_usefulness(np.ones((5, 1)), 1.0, 2)
    assert one.values == pytest.approx(np.full(5, 0.5))
    assert np.isnan(one.shrunk).all()
    assert np.isnan(class_usefulness(np.ones((5, 2)), -1.0, 2).values).all()
