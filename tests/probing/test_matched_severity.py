import numpy as np
from probe_runs import EIGHT, finished


def test_severities_are_matched_by_latent_distance(pipeline, tmp_path):
    extra = "--match-severity blur:2"
    base = EIGHT.replace("freeze:5", "freeze:5,reverse:1,blur:5+freeze:1")
    result = finished(pipeline, tmp_path / "s", base, extra)
    distances = result["severities"]
    assert list(distances) == ["blur", "freeze", "reverse"]
    assert (np.diff(distances["blur"]) > 0).all()
    goal = distances["blur"][1]
    gaps = np.abs(np.log(np.array(distances["freeze"]) / goal))
    names = [n for n in result["subjects"] if ":" in n]
    frozen = f"freeze:{gaps.argmin() + 1}"
    assert names == ["blur:2", frozen, "reverse:1", f"blur:2+{frozen}"]
