import copy
import json

import numpy as np
import pytest
from band_schedules import CURVES, VERSION_1

from tqd_probe.core.errors import InputError
from tqd_probe.schedules.band_schedule import BandSchedule


def written(tmp_path, value):
    path = tmp_path / "bands.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def changed(path, value):
    """A copy of VERSION_1 with one place changed."""
    result = copy.deepcopy(VERSION_1)
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return result


def test_round_trip(tmp_path):
    schedule = BandSchedule.load(written(tmp_path, VERSION_1))
    schedule.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == VERSION_1


def test_what_version_one_lacked_may_be_left_out_and_reads_as_its_default(tmp_path):
    schedule = BandSchedule.load(written(tmp_path, VERSION_1))
    assert schedule.mixture.form == "per-level"
    assert schedule.mixture.floor == 0
    assert schedule.mixture.weights_ci is None
    assert schedule.criterion.metric == "raw"
    assert schedule.criterion.delta == 0
    assert schedule.clip is None
    assert schedule.classes["visual_degraded"].status == "measured"
    assert schedule.classes["visual_degraded"].avoid is None
    assert schedule.classes["visual_degraded"].paired


def test_the_mixture_and_the_details_may_be_left_out(tmp_path):
    value = {k: v for k, v in VERSION_1.items() if k not in ("mixture",)}
    assert BandSchedule.load(written(tmp_path, value)).mixture is None


CURVE = ("classes", "visual_degraded")
FAULTS = [
    (("surprise",), 1, "surprise: extra"),
    (("noise", "surprise"), 1, "noise.surprise: extra"),
    ((*CURVE, "surprise"), 1, "classes.visual_degraded.surprise: extra"),
    (("format",), "other", "format:"),
    (("version",), 3, "version:"),
    (("version",), 2, "criterion.delta: missing; version 2 states it"),
    (("clip",), {"frames": 17, "height": 64, "width": 64, "fps": 16.0}, "clip: not in"),
    (("criterion", "delta"), 0.03, "criterion.delta: not in version 1"),
    (("density",), {"of": "golden_signal", "values": [1, 1]}, "density: not in"),
    ((*CURVE, "avoid"), [[0.3, 0.5]], "visual_degraded.avoid: not in version 1"),
    ((*CURVE, "reason"), "few", "visual_degraded.reason: not in version 1"),
    (("version",), "1", "version:"),
    (("version",), True, "version:"),
    (("criterion", "norm_range"), [2.0, 0.5], "criterion.norm_range: needs"),
    (("criterion", "cos_min"), 99, "criterion.cos_min:"),
    (("provenance", "seed"), -1, "provenance.seed:"),
    (("classes",), {"zorp": CURVES}, "classes: zorp is not a class"),
    (
        ("classes", "visual_degraded", "norm_ratio_ci"),
        [[3.1, 2.0], [0.9, 1.1]],
        "norm_ratio_ci: each interval",
    ),
    (("noise", "axis"), "t", "noise.axis:"),
    (("noise", "levels"), [0.15, 0.05], "noise.levels: levels must rise"),
    (("noise", "levels"), [0.1, 0.1], "noise.levels: levels must rise"),
    (("noise", "levels"), [-0.1, 0.5], "noise.levels.0:"),
    (("noise", "levels"), [0.1, 1.5], "noise.levels.1:"),
    (("noise", "levels"), [0.1, float("nan")], "noise.levels.1:"),
    (("noise", "levels"), ["0.1", 0.5], "noise.levels.0:"),
    (("noise", "shift"), 0, "noise.shift:"),
    (("noise", "logsnr"), [1.0], "noise.logsnr: 1 values for 2"),
    ((*CURVE, "cosine"), [0.1, float("nan")], "classes.visual_degraded.cosine.1:"),
    ((*CURVE, "cosine"), [0.1], "classes.visual_degraded.cosine: 1 values for 2"),
    ((*CURVE, "bias2"), [float("inf"), 0.0], "classes.visual_degraded.bias2.0:"),
    ((*CURVE, "bands"), [[0.5, 0.2]], "classes.visual_degraded.bands: each interval"),
    ((*CURVE, "bands"), [[0.5, 0.9], [0.1, 0.2]], "bands: intervals must be sorted"),
    ((*CURVE, "bands"), [[0.1, 0.5], [0.4, 0.9]], "must not overlap"),
    ((*CURVE, "edges_ci"), [[[0, 0.1], [0.2, 0.3]]], "edges_ci: 1 pairs of intervals"),
    (
        (*CURVE, "edges_ci"),
        [[[0.05, 0.1], [0.2, 0.2]], [[0.75, 0.8], [1.0, 1.0]]],
        "edges_ci.1.0: [0.75, 0.8] does not hold the edge 0.72",
    ),
    (
        (*CURVE, "edges_ci"),
        [[[0.1, 0.05], [0.2, 0.2]], [[0.6, 0.8], [1.0, 1.0]]],
        "edges_ci.0.0: [0.1, 0.05] does not hold the edge 0.1",
    ),
    ((*CURVE, "edges_ci"), [[[0, 0.1], [0.2, 1.3]]] * 2, "edges_ci.0.1.1:"),
    (
        (*CURVE, "possible"),
        [[0.5, 0.2]],
        "classes.visual_degraded.possible: each interval",
    ),
    ((*CURVE, "possible"), [[0.6, 1.0]], "possible: excludes the band 0.1 to 0.2"),
    ((*CURVE, "bands"), [[0.5, 1.2]], "classes.visual_degraded.bands.0.1:"),
    ((*CURVE, "beta"), {"alpha": 0, "beta": 1, "ks": 0}, "beta.alpha:"),
    (("golden", "resolved"), [True], "golden.resolved: 1 values for 2"),
    (("model", "fingerprint"), "abc", "model.fingerprint:"),
    (("mixture", "weights"), [[0.5, 0.6], [0.2, 0.8]], "mixture.weights.0: must sum"),
    (("mixture", "weights"), [[1.0], [0.2, 0.8]], "mixture.weights.0: one weight"),
    (("criterion", "name"), "taste", "criterion.name:"),
    (("criterion", "metric"), "sgd", "criterion.metric:"),
    (("mixture", "classes"), ["visual_degraded", "golden"], "mixture.classes: golden"),
    (("mixture", "pool"), {"golden": 3}, "mixture.pool.visual_degraded: must be"),
    (("mixture", "weights"), [[1.0, 0.0]], "mixture.weights: 1 values for 2"),
    (("mixture", "weights"), [[1.1, -0.1], [0, 1.0]], "mixture.weights.0.0:"),
    (("mixture", "form"), "both", "mixture.form:"),
    (("mixture", "floor"), 1.5, "mixture.floor:"),
    (("mixture", "level_density"), [0.5, 0.6], "mixture.level_density: must sum"),
    (("mixture", "level_density"), [1.0], "mixture.level_density: 1 values"),
    (("mixture", "weights_ci"), [[[0, 1]], [[0, 1]]], "mixture.weights_ci: one inter"),
    (
        ("mixture", "weights_ci"),
        [[[0.9, 0.1], None], [None, None]],
        "mixture: intervals must go",
    ),
    (("mixture", "risk"), {"golden": [0.1]}, "mixture.risk.golden: 1 values, not 2"),
    (("mixture", "psd_repair"), [-0.1, 0], "mixture.psd_repair.0:"),
    (("mixture", "surprise"), 1, "mixture.surprise: extra"),
    (("cross_level",), {"golden": [[1.0]]}, "cross_level.golden: 1 values for 2"),
    (("golden", "loss"), [0.1], "golden.loss: 1 values for 2"),
    ((*CURVE, "bias2_ci"), [[2, 1], [0, 1]], "bias2_ci: each interval"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_faults_are_named_by_their_path(tmp_path, path, value, message):
    file = written(tmp_path, changed(path, value))
    with pytest.raises(InputError) as error:
        BandSchedule.load(file)
    text = str(error.value)
    assert message.lower() in text.lower()
    assert str(file) in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "key", sorted(set(VERSION_1) - {"mixture", "degradations_detail"})
)
def test_missing_keys(tmp_path, key):
    value = {name: part for name, part in VERSION_1.items() if name != key}
    with pytest.raises(InputError, match=f"{key}: Field required"):
        BandSchedule.load(written(tmp_path, value))


def test_a_repeated_key_is_refused(tmp_path):
    text = json.dumps(VERSION_1).replace('"shift": 1.0', '"shift": 1.0, "shift": 3.0')
    with pytest.raises(InputError, match="key 'shift' appears twice"):
        BandSchedule.load(written(tmp_path, text))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", "[" * 100000, "1" * 5000])
def test_not_json(tmp_path, text):
    with pytest.raises(InputError) as error:
        BandSchedule.load(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        BandSchedule.load(tmp_path / "none.json")


def test_fingerprint_of_another_model_is_refused():
    schedule = BandSchedule.model_validate(VERSION_1)
    schedule.check_model("sha256:" + "a" * 64)
    schedule.check_model("sha256:" + "b" * 64, allow_mismatch=True)
    with pytest.raises(InputError, match="measured on other weights"):
        schedule.check_model("sha256:" + "b" * 64)


def test_density_is_uniform_on_the_bands():
    schedule = BandSchedule.model_validate(VERSION_1)
    sigma = np.linspace(0, 1, 100001)
    density = schedule.density("visual_degraded", sigma)
    assert np.trapezoid(density, sigma) == pytest.approx(1, abs=1e-3)
    height = 1 / (0.1 + 0.28)
    places = np.array([0.05, 0.15, 0.5, 0.9])
    found = schedule.density("visual_degraded", places)
    assert found == pytest.approx([0, height, 0, height])
    assert (schedule.density("golden", sigma) == 1).all()
    with pytest.raises(InputError, match="not in the schedule"):
        schedule.density("motion_degraded", sigma)
