import pytest

from tqd_probe.probing.result import ProbeResult
from tqd_probe.probing.summary import summary_table
from tqd_probe.schedules.band_schedule import BandSchedule


@pytest.fixture
def probed(probe_run):
    result = ProbeResult.load(probe_run / "gradsim.json")
    return result, BandSchedule.load(probe_run / "bands.json")


def test_a_row_for_every_class_and_degradation(probed):
    result, schedule = probed
    lines = summary_table(result, schedule).splitlines()
    names = [line.split()[0] for line in lines[2:7]]
    assert names == [
        "visual_degraded",
        "motion_degraded",
        "blur:4",
        "freeze:5",
        "identity:1",
    ]
    cosine = result.subjects["blur:4"].cosine
    assert f"{cosine[0]:.2f} [" in lines[4]
    assert f"... {cosine[-1]:.2f} [" in lines[4]


def test_levels_without_an_answer_say_how_many_clips_would_give_one(probed):
    result, schedule = probed
    text = summary_table(result, schedule)
    assert "levels that only golden clips serve: 0.1, 0.5, 0.9" in text
    wanted = result.golden.clips_to_resolve[1]
    line = next(x for x in text.splitlines() if x.startswith("sigma 0.5: "))
    assert "golden gradient not resolved with 5 clips" in line
    assert line.endswith(f"about {wanted:.0f} clips would resolve it")
    result.golden.clips_to_resolve[1] = None
    assert "no estimate of how many clips would" in summary_table(result, schedule)


def test_edges_stand_with_their_intervals(probed):
    result, schedule = probed
    entry = schedule.classes["visual_degraded"]
    entry.bands, entry.edges_ci = [(0.25, 1.0)], [((0.2, 0.3), (1.0, 1.0))]
    assert "0.250 [0.20, 0.30] to 1.000" in summary_table(result, schedule)
    entry.bands, entry.possible = [], [(0.4, 0.6)]
    assert "none (not excluded: 0.40 to 0.60)" in summary_table(result, schedule)


def test_clips_left_out_are_counted(probed):
    result, schedule = probed
    assert "left out" not in summary_table(result, schedule)
    result.clips.quarantine["c2"] = "c2.mp4: damaged"
    assert "left out: 1 clips, see gradsim.json" in summary_table(result, schedule)
