"""Class-blind densities, from curves known beforehand."""

from types import SimpleNamespace

import numpy as np
import pytest


def test_densities_follow_what_was_measured():
    from analyses.tables.cell_schedules import CENTRES
    from analyses.tables.densities import DENSITIES, densities

    golden = SimpleNamespace(signal=[4.0, None, 1.0], loss=[1.0, 2.0, 3.0])
    noise = SimpleNamespace(levels=[0.25, 0.5, 0.75])
    worth = {"levels": [0.3, 0.7], "golden_gain": [[0.2, 0, 1], [-0.1, -1, 0]]}
    found = densities(SimpleNamespace(golden=golden, noise=noise), worth)
    assert list(found) == list(DENSITIES)
    assert all(each.sum() == pytest.approx(1) for each in found.values())
    first, middle, last = (int(np.argmin(abs(CENTRES - x))) for x in (0.1, 0.5, 0.9))
    signal = found["density by signal"]
    assert signal[first] == pytest.approx(2 * signal[last])  # roots of 4 and of 1
    assert signal[middle] < 0.1 * signal[first]  # nothing was found there
    loss = found["density by loss"]
    assert loss[last] == pytest.approx(3 * loss[first])
    gain = found["density by gain"]
    assert gain[last] == 0  # golden clips lose there
    assert gain[middle] == pytest.approx(gain[first] / 2, rel=0.06)


def test_bands_on_a_density_keep_the_shares_of_classes(schedule):
    from analyses.tables.cell_schedules import CENTRES
    from analyses.tables.densities import bands_on

    counts = {"golden": 10, "visual_degraded": 30, "motion_degraded": 0}
    density = np.where(CENTRES < 0.8, 1.0, 3.0)
    found = bands_on(schedule, counts, density / density.sum())
    assert found.sum(0) == pytest.approx([0.25, 0.75, 0])
    golden, visual, _ = found.T
    assert golden[45] == pytest.approx(3 * golden[5])
    assert (visual[CENTRES < 0.6] == 0).all()  # visual bands: (.6, 1)
    assert visual[45] == pytest.approx(3 * visual[35])
    assert visual[45] == pytest.approx(0.75 * 3 / (10 * 1 + 10 * 3))
