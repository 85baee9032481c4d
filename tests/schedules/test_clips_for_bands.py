import numpy as np
import pytest
from curves import curves

from tqd_probe.schedules.bands import CosineCriterion, use_intervals
from tqd_probe.schedules.clips_for_bands import clips_for_stable_bands

CLIPS = np.full(5, 24)


def wanted(measured, clips=CLIPS, **criterion):
    return clips_for_stable_bands(measured, CosineCriterion(**criterion), clips)


def test_the_widest_interval_around_the_threshold_decides():
    # Only at .5 (.92 +- .06) and .7 (.91 +- .045) does the width decide: the first two
    # are not used however narrow they are, the last is used as it is.
    measured = curves([0.2, 0.89, 0.92, 0.91, 1.0], [0.3, 0.8, 0.06, 0.045, 0.05])
    assert wanted(measured) == 24 * (0.06 / 0.03) ** 2
    assert wanted(measured, delta=0.02) == 24 * (0.06 / 0.02) ** 2
    # of 8 clips the wide interval would take 32, the other one 24 (.045 / .03)^2
    assert wanted(measured, clips=np.array([24, 24, 8, 24, 24])) == 54


def test_the_answer_is_the_same_from_that_many_clips_on():
    """An interval of that many clips is as narrow as delta: the estimate decides."""
    measured = curves([0.5, 0.5, 0.91, 0.95, 0.95], 0.08)
    criterion = CosineCriterion()
    enough = wanted(measured)
    assert enough == 171  # 24 (.08 / .03)^2 = 170.7
    found = []
    for clips in (24, enough, 4 * enough, 100 * enough):
        half = 0.08 * np.sqrt(24 / clips)
        at = curves([0.5, 0.5, 0.91, 0.95, 0.95], half)
        found.append(use_intervals(at, criterion)[0][0])
    assert found[0] > 0.5 > found[1]  # with 24 clips level .5 is not used
    assert found[1] == pytest.approx(found[2], abs=0.01)
    assert found[2] == pytest.approx(found[3], abs=0.002)


def test_the_number_measured_suffices_where_no_width_decides():
    assert wanted(curves([0.2, 0.5, 0.7, 1.0, 1.0], 0.05)) == 24
    assert wanted(curves(0.91, half=0.02)) == 24  # narrow as it is


def test_there_is_no_number_without_delta_or_intervals():
    assert wanted(curves(0.91, half=0.02), delta=0.0) is None
    assert wanted(curves(np.nan)) is None
    assert wanted(curves(0.91, half=0.1, resolved=False)) is None
