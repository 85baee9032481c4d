import numpy as np
from probe_runs import EIGHT, finished

from tqd_probe.schedules.band_schedule import BandSchedule


def test_severities_are_matched_by_latent_distance(pipeline, tmp_path):
    extra = "--match-severity blur:2"
    base = EIGHT.replace("freeze:5", "freeze:5,reverse:1,blur:5+freeze:1")
    base = base.replace("--num-clips 8", "--num-clips 4 --least-clips 4")
    result = finished(pipeline, tmp_path / "s", base, extra)
    distances = result["severities"]
    assert list(distances) == ["blur", "freeze", "reverse"]
    assert (np.diff(distances["blur"]) > 0).all()
    goal = distances["blur"][1]
    gaps = np.abs(np.log(np.array(distances["freeze"]) / goal))
    names = [n for n in result["subjects"] if ":" in n]
    both = result["subjects"]["both_degraded"]
    assert both["degradations"] == {"blur": 2, "freeze": int(gaps.argmin()) + 1}
    schedule = BandSchedule.load(tmp_path / "s" / "bands.json")
    assert schedule.classes["both_degraded"].status == "measured"
    assert list(result["cross_level"])[-1] == "both_degraded"
    frozen = f"freeze:{gaps.argmin() + 1}"
    assert names == ["blur:2", frozen, "reverse:1", f"blur:2+{frozen}"]
