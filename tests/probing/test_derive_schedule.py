"""Schedules of whole probes: cosine and mixture, options of the intervals."""

import numpy as np
import pytest
from probe_runs import EIGHT, arguments, finished, result

from tqd_probe import gradsim
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import ProbeResult
from tqd_probe.schedules.band_schedule import BandSchedule


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
