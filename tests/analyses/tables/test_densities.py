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
