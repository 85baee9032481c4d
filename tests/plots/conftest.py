"""A finished probe as the figures read it."""

import pytest

from tqd_probe.probing.result import ProbeResult
from tqd_probe.schedules.band_schedule import BandSchedule


@pytest.fixture
def probed(probe_run):
    """Result and schedule of a probe; a test may change its own."""
    result = ProbeResult.load(probe_run / "gradsim.json")
    return result, BandSchedule.load(probe_run / "bands.json")
