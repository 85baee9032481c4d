"""Schedules of whole probes: cosine and mixture, options of the intervals."""

import numpy as np
import pytest
from grams import gram_of
from probe_results import probe_result
from probe_runs import EIGHT, arguments, finished, result

from tqd_probe import gradsim
from tqd_probe.probing.derive_schedule import derive_schedule, stay_in_bands
from tqd_probe.probing.result import ProbeResult
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.fits import fit_density
from tqd_probe.schedules.mixture_schema import Mixture
from tqd_probe.statistics.similarity import LevelStatistics


def test_the_schedule_follows_from_the_result_that_was_written(eight_clips_run):
    probed = ProbeResult.load(eight_clips_run / "gradsim.json")
    schedule = derive_schedule(probed)
    assert schedule == BandSchedule.load(eight_clips_run / "bands.json")
    entry = schedule.classes["visual_degraded"]
    assert entry.cosine == probed.subjects["visual_degraded"].cosine
    assert entry.degradations == {"blur": 4}
    assert schedule.golden.clips == 8


@pytest.mark.rendered("mixture_weights", "mixture_risk")
@pytest.mark.parametrize("form", ["per-level", "joint"])
def test_mixture_end_to_end(pipeline, tmp_path, form, capsys):
    pool = "golden=10,visual_degraded=800,motion_degraded=300"
    extra = f"--criterion mixture --mixture-form {form} --pool {pool} --floor 0.05"
    out = tmp_path / "m"
    assert gradsim.main(arguments(pipeline, out, extra, EIGHT)) == 0
    schedule = BandSchedule.load(out / "bands.json")
    mixture = schedule.mixture
    assert mixture.classes == ["golden", "visual_degraded", "motion_degraded"]
    assert mixture.pool["visual_degraded"] == 800
    assert np.sum(mixture.weights, axis=1) == pytest.approx([1, 1])
    assert mixture.form == form
    assert (out / "figures" / "mixture_weights.png").stat().st_size > 10_000
    assert (out / "figures" / "mixture_risk.png").stat().st_size > 10_000
    assert "experimental" in capsys.readouterr().out


def test_family_wise_intervals_are_wider(pipeline, eight_clips_run, tmp_path):
    plain = result(eight_clips_run)
    changed = finished(pipeline, tmp_path / "f", EIGHT, "--family-wise")
    wide = changed["subjects"]["blur:4"]["bias2_ci"]
    narrow = plain["subjects"]["blur:4"]["bias2_ci"]
    for (a, b), (c, d) in zip(wide, narrow):
        assert a < c < d < b
    assert changed["criterion"]["family_wise"]
    assert (
        changed["subjects"]["blur:4"]["cosine"] == plain["subjects"]["blur:4"]["cosine"]
    )


def test_both_copies_and_real_clips_enter_the_mixture(pipeline, scored, tmp_path):
    base = "--draws 1 --levels 0.3,0.8 --degradations blur:4,freeze:5"
    extra = f"--clips {scored} --mq-min 0.5 --vq-min 0.5 --criterion mixture"
    finished(pipeline, tmp_path / "b", base, extra)
    schedule = BandSchedule.load(tmp_path / "b" / "bands.json")
    assert schedule.mixture.classes == ["golden", "motion_degraded", "visual_degraded"]
    assert not schedule.classes["visual_degraded"].paired
    assert schedule.classes["motion_degraded"].paired
    assert set(schedule.degradations_detail) == {"blur:4", "freeze:5"}


LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
VISUAL = {"members": ["blur:3", "noise:3"]}


def test_one_level_gives_no_band_beyond_it():
    """`--levels 0.7` once gave the band [0, 1] with certain edges."""
    schedule = derive_schedule(probe_result([0.7], {"blur:2": 0.99}))
    entry = schedule.degradations_detail["blur:2"]
    assert (entry.bands, entry.test, entry.avoid, entry.edges_ci) == ([], [], [], [])
    assert entry.reason == "one level bounds no band; measure two or more"
    assert entry.status == "measured"


def test_two_levels_reach_half_the_gap_and_stay_in_the_networks_range():
    probed = probe_result([0.7, 0.8], {"blur:2": 0.99}, span=(0.0, 0.83))
    entry = derive_schedule(probed).degradations_detail["blur:2"]
    assert entry.bands == [pytest.approx((0.65, 0.83))]
    lower, upper = entry.edges_ci[0]
    assert lower == pytest.approx((0.0, 0.7))
    assert upper == pytest.approx((0.8, 0.83))


@pytest.mark.parametrize(
    ("levels", "expected"), [((0.7,), []), ((0.4, 0.6), [(0.3, 0.7)])]
)
def test_bands_of_a_mixture_end_where_nothing_was_measured(levels, expected):
    probed = probe_result(levels, {"visual_degraded": 0.99})
    some = np.ones(len(levels))
    probed.mixture = Mixture(
        classes=["golden", "visual_degraded"],
        pool={"golden": 1, "visual_degraded": 9},
        weights=[[0.1, 0.9]] * len(levels),
        fits={"visual_degraded": fit_density(np.array(levels), some)},
    )
    found = derive_schedule(probed)
    entry = found.classes["visual_degraded"]
    assert entry.bands == [pytest.approx(band) for band in expected]
    assert (entry.beta is None) == (entry.logit_offset is None) == (not expected)
    assert found.mixture.fits["visual_degraded"].bands.intervals == [(0, 1)]


def test_a_pooled_class_of_opposite_errors_has_no_band():
    """Pooled it looks golden (0.997); each of its degradations alone does not."""
    golden, across = np.eye(2, 24)
    means = [golden, golden + 1.05 * across, golden - 0.96 * across]
    rng = np.random.default_rng(0)
    noise = 0.02 * rng.normal(size=(1, 24, 2, 24))  # clips share it with their copies
    gradients = np.array(means)[:, None, None] + noise
    found = LevelStatistics(gram_of(gradients), 0, confidence=0.95)
    compared = [found.compare(rows) for rows in ([1, 2], [1], [2])]
    pooled, blur, noisy = (each.cosine for each in compared)
    assert (pooled, blur, noisy) == pytest.approx((0.999, 0.69, 0.72), abs=2e-3)
    names = {"visual_degraded": VISUAL, "blur:3": {}, "noise:3": {}}
    probed = probe_result(
        LEVELS,
        {
            name: {"cosine": each.cosine, **more}
            for (name, more), each in zip(names.items(), compared)
        },
    )
    entry = derive_schedule(probed).classes["visual_degraded"]
    assert entry.cosine == [pytest.approx(pooled)] * 5  # the pooled curve is shown
    assert (entry.bands, entry.avoid) == ([], [pytest.approx((0.0, 1.0))])
    older = probed.subjects["visual_degraded"]
    older.members, older.degradations = [], {"blur": 3, "noise": 3}
    assert derive_schedule(probed).classes["visual_degraded"].bands == []


def test_a_class_is_used_where_each_of_its_degradations_is():
    probed = probe_result(
        LEVELS,
        {
            "visual_degraded": {"cosine": 0.99, **VISUAL},
            "blur:3": [0.5, 0.5, 0.99, 0.99, 0.99],
            "noise:3": {"cosine": [0.5, 0.95, 0.95, 0.95, 0.91], "half": 0.045},
        },
    )
    schedule = derive_schedule(probed)
    blur, noise = (schedule.degradations_detail[n] for n in ("blur:3", "noise:3"))
    entry = schedule.classes["visual_degraded"]
    assert entry.bands[0][0] == pytest.approx(blur.bands[0][0])  # the later one
    assert entry.bands[0][1] == pytest.approx(noise.bands[0][1])  # the earlier one
    assert noise.bands[0][1] < 0.9 < blur.bands[0][1]
    assert entry.avoid[0][1] == pytest.approx(blur.avoid[0][1])
    assert [len(part) for part in (entry.bands, entry.test, entry.avoid)] == [1, 2, 1]
    # It takes the clips of the degradation that takes most: 24 (.045 / .03)^2.
    assert entry.clips_for_stable_bands == 54
    assert blur.clips_for_stable_bands == 24


def test_classes_that_were_not_measured_say_why():
    subjects = {
        "visual_degraded": {"cosine": 0.2, "members": ["blur:3"]},
        "blur:3": 0.2,
    }
    few = {"visual_degraded": 5, "both_degraded": 3}
    schedule = derive_schedule(probe_result(LEVELS, subjects, too_few=few))
    harmful, motion, both = (
        schedule.classes[name]
        for name in ("visual_degraded", "motion_degraded", "both_degraded")
    )
    assert (harmful.status, harmful.bands) == ("measured", [])
    assert harmful.avoid == [(0.0, 1.0)]
    assert harmful.reason == "5 real clips; 8 are needed: bands of degraded copies"
    assert (motion.status, motion.clips, motion.cosine) == ("unmeasured", 0, [])
    assert motion.reason == (
        "no degraded copies and no real clips of this class in the probe"
    )
    assert both.reason == "3 real clips; 8 are needed, and no degraded copies"
    assert schedule.version == 2
    assert schedule.clip.model_dump() == {
        "frames": 17,
        "height": 64,
        "width": 64,
        "fps": 16.0,
    }


def test_too_few_real_clips_alone_leave_a_class_unmeasured():
    """Of a user's own network (`compare_gradients`), which has no copies."""
    real = {"cosine": 0.99, "paired": False, "clips": 5}
    entry = derive_schedule(probe_result(LEVELS, {"both_degraded": real})).classes[
        "both_degraded"
    ]
    assert (entry.status, entry.bands) == ("unmeasured", [])
    assert entry.reason == "5 real clips; 8 are needed"
    assert entry.cosine == [0.99] * 5


def test_hysteresis_enters_on_use_and_leaves_on_avoid():
    before, use, test = [(0.0, 0.3), (0.6, 1.0)], [(0.5, 0.7)], [(0.2, 0.5), (0.7, 0.8)]
    # 0 to .2 and .8 to 1 were used and are now avoided; .2 to .3 and .7 to .8 stay.
    assert stay_in_bands(before, use, test) == [(0.2, 0.3), (0.5, 0.8)]
    assert stay_in_bands([], use, test) == use
    assert stay_in_bands(before, [], []) == []


def test_measured_again_a_used_level_stays_until_it_is_to_be_avoided():
    def measured(cosine, half, former=None):
        visual = {"cosine": cosine, "half": half}
        return derive_schedule(
            probe_result(LEVELS, {"visual_degraded": visual}), former
        )

    first = measured([0.2, 0.2, 0.95, 0.95, 0.95], 0.01)
    (start, stop) = first.classes["visual_degraded"].bands[0]
    assert (start, stop) == (pytest.approx(0.3 + 0.2 * 0.7 / 0.75), 1.0)
    # Level .5 is now *test*: .88 with .05 to either side.
    second = measured([0.2, 0.2, 0.88, 0.95, 0.95], 0.05, first)
    found = second.classes["visual_degraded"]
    upper = 0.3 + 0.2 * 0.65 / 0.68  # below, the upper bound lies below .9
    assert found.bands == [pytest.approx((max(start, upper), 1.0))]
    assert found.edges_ci is None
    alone = measured([0.2, 0.2, 0.88, 0.95, 0.95], 0.05).classes["visual_degraded"]
    assert alone.bands[0][0] > 0.5
    # Level .5 is now *avoid* and leaves.
    third = measured([0.2, 0.2, 0.8, 0.95, 0.95], 0.05, second)
    left = third.classes["visual_degraded"]
    assert left.bands[0][0] == pytest.approx(0.5 + 0.2 * 0.05 / 0.15)
    assert left.avoid[-1][1] == pytest.approx(left.bands[0][0])


def test_the_density_is_that_of_the_golden_signal(eight_clips_run):
    """Also where the schedule is written and read; without two levels there is none."""
    result = probe_result(LEVELS, {"blur:3": 0.9})
    result.golden.signal = [16.0, 4.0, 4.0, 1.0, 1.0]
    values = np.array(derive_schedule(result).golden_density.values)
    assert values / values[-1] == pytest.approx([4, 2, 2, 1, 1])
    result.golden.resolved = [False] * 4 + [True]
    assert derive_schedule(result).to_json()["density"] is None
    written = BandSchedule.load(eight_clips_run / "bands.json")
    probed = ProbeResult.load(eight_clips_run / "gradsim.json")
    assert written.golden_density == derive_schedule(probed).golden_density
