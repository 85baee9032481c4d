import pytest
from probe_results import probe_result

from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import ProbeResult
from tqd_probe.probing.summary import summary_table
from tqd_probe.schedules.band_schedule import BandSchedule


@pytest.fixture
def probed(probe_run):
    result = ProbeResult.load(probe_run / "gradsim.json")
    return result, BandSchedule.load(probe_run / "bands.json")


LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def test_use_test_and_avoid_of_each_class_and_degradation():
    blur = {"cosine": [0.5, 0.5, 0.9, 0.99, 0.99], "half": [0.2, 0.2, 0.04, 0.01, 0.01]}
    probed = probe_result(
        LEVELS,
        {
            "visual_degraded": {"cosine": 0.95, "members": ["blur:3"]},
            "motion_degraded": {"cosine": 0.5, "members": ["freeze:5"]},
            "blur:3": blur,
            "freeze:5": {"cosine": 0.5},
        },
        too_few={"motion_degraded": 5},
    )
    lines = summary_table(probed, derive_schedule(probed)).splitlines()
    assert " ".join(lines[0].split()) == "use edges of use test avoid cosine, ends"
    # blur: the lower bound passes .87 between .86 at .5 and .98 at .7, the upper one .9
    # between .7 at .3 and .94 at .5
    edges = "[0.47, 0.57] [0.90, 1.00]"
    assert " ".join(lines[2].split()) == (
        f"visual_degraded 0.517-1.000 {edges} 0.467-0.517 0.000-0.467 0.95 ... 0.95"
    )
    assert " ".join(lines[3].split()) == (
        "motion_degraded none 0.000-1.000 0.50 ... 0.50"
    )
    assert lines[4].startswith("both_degraded    not measured: no degraded copies")
    assert lines[5].split()[:2] == ["blur:3", "0.517-1.000"]
    text = "\n".join(lines)
    assert "use: cosine 0.9 or more, its lower bound 0.87 or more" in text
    assert "measured 24:\n  visual_degraded 43, motion_degraded 24" in text
    assert "motion_degraded: 5 real clips; 8 are needed: bands of degraded" in text
    assert max(map(len, lines)) <= 100


def test_what_decides_nothing_and_what_is_unknown_is_said():
    subjects = {"motion_degraded": {"cosine": 0.95, "members": ["slow:4"]}}
    subjects |= {"slow:4": 0.95, "freeze:5": 0.5, "identity:1": 1.0}
    probed = probe_result(LEVELS, subjects)
    lines = summary_table(probed, derive_schedule(probed)).splitlines()
    said = "the extreme, shown beside motion_degraded; it has no say there"
    assert [line for line in lines if "the extreme" in line] == [f"freeze:5: {said}"]
    assert [line for line in lines if "train without" in line] == [
        "visual_degraded clips: measure copies (blur:3,noise:3), or train without"
        " (--drop-class visual_degraded)",
        "both_degraded clips: measure copies (blur:3+slow:4), or train without"
        " (--drop-class both_degraded)",
    ]
    subjects["motion_degraded"] = {"cosine": 0.5, "members": ["freeze:5"]}
    alone = probe_result(LEVELS, subjects)
    assert "the extreme" not in summary_table(alone, derive_schedule(alone))


def test_an_interval_of_each_kind_stands_on_a_line_of_its_own():
    split = probe_result(LEVELS, {"downscale:3": [0.99, 0.5, 0.99, 0.5, 0.99]})
    lines = summary_table(split, derive_schedule(split)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("downscale:3"))
    found = [line.split()[-5:] for line in lines[at : at + 3]]
    assert found[0][0].startswith("0.1")  # of test: between use and avoid
    assert [line.split()[0] for line in lines[at + 1 : at + 3]] == [
        "0.463-0.537",
        "0.863-1.000",
    ]


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


def test_clips_left_out_are_counted(probed):
    result, schedule = probed
    assert "left out" not in summary_table(result, schedule)
    result.clips.quarantine["c2"] = "c2.mp4: damaged"
    assert "left out: 1 clips, see gradsim.json" in summary_table(result, schedule)


def test_the_draws_of_a_measured_density_are_shown_by_thirds():
    """Constant on all levels: a third each; four times the norm at the lowest: more."""
    even = probe_result(LEVELS, {"blur:3": 0.9})
    even.golden.signal = [4.0] * 5
    text = summary_table(even, derive_schedule(even))
    assert "levels in proportion to golden gradients: 33%, 33% and 33% of draws" in text
    even.golden.signal = [64.0, 4.0, 4.0, 4.0, 4.0]
    text = summary_table(even, derive_schedule(even))
    # 8 x .1, the ramp of .2 from 8 to 2, then 2: 3.2 in all, 1.87 in the first third
    assert "gradients: 58%, 21% and 21% of draws" in text
    even.golden.resolved = [False] * 5
    assert "in proportion" not in summary_table(even, derive_schedule(even))
