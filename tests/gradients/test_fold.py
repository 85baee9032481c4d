import numpy as np
import pytest

from tqd_probe.gradients.fold import Fold


def folded(rows, width, block):
    fold = Fold(len(rows), rows.shape[1], width)
    for at in range(0, rows.shape[1], block):
        fold.add(at, rows[:, at : at + block])
    return fold.sums


def test_short_gradients_are_kept():
    rows = np.random.default_rng(0).normal(size=(3, 50))
    assert folded(rows, 50, 7) == pytest.approx(rows)


def test_blocks_change_nothing():
    rows = np.random.default_rng(1).normal(size=(2, 70_001))
    whole = folded(rows, 101, 70_001)
    assert folded(rows, 101, 999) == pytest.approx(whole)


def test_products_are_right_on_average():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(1, 40_000))
    rows = np.concatenate([a, 0.6 * a + 0.8 * rng.normal(size=a.shape)])
    sums = folded(rows, 1009, 8000)
    exact, found = rows @ rows.T, sums @ sums.T
    scale = np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
    assert np.abs(found - exact).max() < (4 / np.sqrt(1009) * scale).min()
    assert np.abs(found - exact).max() > 0
