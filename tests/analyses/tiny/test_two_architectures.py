"""Two architectures compared."""

import sys

import numpy as np
import pytest


def curve(cosine, size, seed):
    from analyses.tiny.two_architectures import Curve

    rng = np.random.default_rng(seed)
    kernels = rng.standard_normal((len(cosine), 20, 20)) * size
    kernels = (kernels + kernels.swapaxes(1, 2)) / 2 * (1 - np.eye(20))
    levels = [round(0.05 + i / len(cosine), 2) for i in range(len(cosine))]
    return Curve(levels, np.array(cosine), kernels)


def test_what_clips_share_cancels_between_architectures():
    from analyses.tiny.two_architectures import gap, stated

    one = curve([0.5, 0.6, 0.7, 0.8, 0.9], 1.0, 1)
    other = curve([0.4, 0.6, 0.7, 0.8, 0.9], 1.0, 1)
    found = gap(one.mean(0, 0.3), other.mean(0, 0.3))
    assert found["value"] == pytest.approx(0.05)
    assert found["ci"] == pytest.approx([0.05, 0.05])
    apart = gap(one.mean(0, 0.3), curve([0.4] * 5, 1.0, 2).mean(0, 0.3))
    alone = stated(*one.mean(0, 0.3))
    assert np.ptp(apart["ci"]) > np.ptp(alone["ci"]) > 0
    assert gap(None, one.mean(0, 1)) is None
    assert one.mean(0.3, 0.4) is None


def test_rank_correlation_is_sure_where_levels_part():
    from analyses.tiny.two_architectures import rank_correlation

    sure = rank_correlation(curve([0.1, 0.3, 0.5, 0.7, 0.9], 0.01, 3), "a")
    assert sure == {"value": pytest.approx(1), "ci": pytest.approx([1, 1])}
    flat = rank_correlation(curve([0.5, 0.501, 0.502, 0.503, 0.504], 3.0, 4), "a")
    assert flat["value"] == pytest.approx(1)
    assert flat["ci"][0] < 0.5
    assert rank_correlation(curve([0.5, 0.6], 0.1, 5), "a") is None


def test_runs_of_other_clips_are_not_compared(tmp_path, monkeypatch, capsys):
    from analyses.tiny import two_architectures as script
    from tqd_probe.core.command_line import main_guard

    runs = iter([({"draws": 2, "seed": 1}, {}, {}), ({"draws": 2, "seed": 2}, {}, {})])
    monkeypatch.setattr(script, "read_run", lambda path: next(runs))
    monkeypatch.setattr(sys, "argv", ["two_architectures.py", "one", "two"])
    with main_guard() as outcome:
        script.main()
    assert outcome.code == 2
    assert "two: seed is 2, in one 1" in capsys.readouterr().err
