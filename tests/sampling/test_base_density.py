import numpy as np
import pytest

from tqd_probe.sampling.base_density import BaseDensity, CellDensity


def test_base_density_integrates_to_one():
    for kind in ("uniform", "logit_normal"):
        base = BaseDensity(kind, 0.3, 1.2, 3.0)
        grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
        assert np.trapezoid(base.pdf(grid), grid) == pytest.approx(1, abs=1e-4)
        p = np.linspace(0.01, 0.99, 50)
        assert base.cdf(base.quantile(p)) == pytest.approx(p)


def test_cells_get_their_shares_and_the_base_density_inside():
    base = BaseDensity("logit_normal")
    edges, shares = np.array([0.0, 0.25, 0.5, 1.0]), np.array([0.5, 0.0, 0.5])
    cells = CellDensity(base, edges, shares)
    assert cells.cdf(edges) == pytest.approx([0, 0.5, 0.5, 1])
    p = np.array([0.1, 0.4, 0.6, 0.9])
    levels = cells.quantile(p)
    assert cells.cdf(levels) == pytest.approx(p)
    assert ((levels < 0.25) == (p < 0.5)).all()
    ratio = cells.pdf(levels) / base.pdf(levels)
    first, last = 0.5 / base.cdf(0.25), 0.5 / (1 - base.cdf(0.5))
    assert ratio == pytest.approx([first, first, last, last])
