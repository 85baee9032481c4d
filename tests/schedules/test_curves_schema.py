"""What version 2 of the schedule says of a class: status, reason, three ways."""

import copy
import json

import numpy as np
import pytest
from band_schedules import CURVES, VERSION_2

from tqd_probe.core.errors import InputError
from tqd_probe.schedules.band_schedule import BandSchedule


def written(tmp_path, value):
    path = tmp_path / "bands.json"
    path.write_text(json.dumps(value))
    return path


def test_round_trip(tmp_path):
    schedule = BandSchedule.load(written(tmp_path, VERSION_2))
    schedule.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == VERSION_2
    assert schedule.golden_density is None  # of a file before there was one
    density = {"of": "golden_signal", "values": [1.0, 1.0]}
    value = VERSION_2 | {"density": density}
    BandSchedule.load(written(tmp_path, value)).save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["density"] == density
    assert schedule.clip.frames == 17
    assert schedule.criterion.metric == "adam"


def test_an_unmeasured_class_is_not_one_that_may_be_used_nowhere(tmp_path):
    value = copy.deepcopy(VERSION_2)
    harmful = {"bands": [], "edges_ci": [], "test": [], "avoid": [[0.0, 1.0]]}
    value["classes"]["visual_degraded"] |= harmful
    schedule = BandSchedule.load(written(tmp_path, value))
    assert set(schedule.measured_classes()) == {"visual_degraded"}
    assert (schedule.density("visual_degraded", np.array([0.5])) == 0).all()
    with pytest.raises(InputError, match="'both_degraded': not in the schedule"):
        schedule.density("both_degraded", np.array([0.5]))


CURVE = ("classes", "visual_degraded")
UNKNOWN = ("classes", "both_degraded")
FAULTS = [
    ((*CURVE, "status"), "maybe", "visual_degraded.status:"),
    ((*CURVE, "surprise"), 1, "visual_degraded.surprise: extra"),
    ((*CURVE, "avoid"), [[0.3, 0.2]], "visual_degraded.avoid: each interval"),
    ((*CURVE, "avoid"), [[0.4, 0.6], [0.0, 0.1]], "avoid: intervals must be sorted"),
    ((*CURVE, "avoid"), [[0.3, float("nan")]], "visual_degraded.avoid.0.1:"),
    ((*CURVE, "test"), [[0.2, 0.3], [0.6, 0.8]], "bands: 0.72 lies in an interval of"),
    ((*CURVE, "avoid"), [[0.15, 0.6]], "avoid: 0.15 lies in an interval of bands"),
    ((*CURVE, "avoid"), [[0.25, 0.6]], "avoid: 0.25 lies in an interval of test"),
    ((*CURVE, "clips"), 1, "visual_degraded.clips: 1; at least 2"),
    ((*CURVE, "clips_for_stable_bands"), 0, "clips_for_stable_bands:"),
    ((*CURVE, "cosine"), [], "visual_degraded.cosine: 0 values for 2"),
    ((*UNKNOWN, "reason"), None, "both_degraded.reason: missing"),
    ((*UNKNOWN, "bands"), [[0.1, 0.2]], "both_degraded.bands: of a class that"),
    ((*UNKNOWN, "avoid"), [[0.1, 0.2]], "both_degraded.avoid: of a class that"),
    ((*UNKNOWN, "cosine"), [0.1], "both_degraded.cosine: 1 values for 2"),
    ((*UNKNOWN, "beta"), CURVES["beta"], "both_degraded.beta: of a class that"),
    ((*CURVE, "possible"), [[0.0, 1.0]], "possible: of version 1 of the format alone"),
    (("clip", "fps"), 0, "clip.fps:"),
    (("clip", "width"), 10**6, "clip.width:"),
    (("clip", "frames"), 16.5, "clip.frames:"),
    (("clip", "depth"), 1, "clip.depth: extra"),
    (("criterion", "delta"), -0.1, "criterion.delta:"),
    (("density",), {"of": "golden_signal", "values": [1.0]}, "density.values: 1 value"),
    (("density",), {"of": "golden_signal", "values": [2, 2]}, "integrate to 2, not 1"),
    (("density",), {"of": "golden_signal", "values": [1, 0]}, "density.values.1:"),
    (("density",), {"of": "golden_signal", "values": [-1, 3]}, "density.values.0:"),
    (("density",), {"of": "golden_loss", "values": [1, 1]}, "density.of:"),
    (("golden_density",), {"of": "golden_signal", "values": [1, 1]}, "golden_density:"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_faults_are_named_by_their_path(tmp_path, path, value, message):
    changed = copy.deepcopy(VERSION_2)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError) as error:
        BandSchedule.load(written(tmp_path, changed))
    assert message.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "key"),
    [(("criterion",), "delta"), (("criterion",), "metric"), (CURVE, "status")],
)
def test_version_2_states_what_version_1_lacked(tmp_path, path, key):
    changed = copy.deepcopy(VERSION_2)
    place = changed
    for name in path:
        place = place[name]
    del place[key]
    with pytest.raises(InputError, match=f"{path[-1]}.{key}: missing; version 2"):
        BandSchedule.load(written(tmp_path, changed))
