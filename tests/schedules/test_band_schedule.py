import copy
import json

import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.schedules.band_schedule import BandSchedule

CURVES = {
    "degradations": {"blur": 3},
    "clips": 24,
    "cosine": [0.2, None],
    "cosine_ci": [[0.1, 0.3], None],
    "cosine_naive": [0.2, 0.8],
    "norm_ratio": [2.6, 1.0],
    "norm_ratio_ci": [[2.0, 3.1], [0.9, 1.1]],
    "bias2": [1.0, 0.1],
    "bands": [[0.1, 0.2], [0.72, 1.0]],
    "edges_ci": [[[0.05, 0.1], [0.2, 0.2]], [[0.6, 0.8], [1.0, 1.0]]],
    "possible": [[0.05, 0.2], [0.6, 1.0]],
    "beta": {"alpha": 3.9, "beta": 1.7, "ks": 0.02},
    "logit_offset": {"value": 1.1, "ks": 0.03},
}
VALID = {
    "format": "tqd-band-schedule",
    "version": 1,
    "provenance": {"tool_version": "0.1.0", "argv": ["gradsim"], "seed": 0},
    "model": {
        "family": "wan",
        "source": "tiny",
        "fingerprint": "sha256:" + "a" * 64,
        "expert": None,
        "parameters": "all",
        "prediction": "flow_velocity",
    },
    "noise": {
        "axis": "sigma",
        "shift": 1.0,
        "levels": [0.05, 0.15],
        "logsnr": [5.9, 3.5],
    },
    "criterion": {
        "name": "cosine",
        "cos_min": 0.9,
        "norm_range": [0.5, 2.0],
        "confidence": 0.95,
    },
    "golden": {"clips": 24, "draws": 2, "snr": [0.4, 0.3], "resolved": [True, True]},
    "classes": {"visual_degraded": CURVES},
    "degradations_detail": {"blur:3": CURVES},
    "mixture": {
        "classes": ["golden", "visual_degraded"],
        "pool": {"golden": 1000, "visual_degraded": 8000},
        "weights": [[1.0, 0.0], [0.2, 0.8]],
    },
}


def written(tmp_path, value):
    path = tmp_path / "bands.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def changed(path, value):
    """A copy of VALID with one place changed."""
    result = copy.deepcopy(VALID)
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return result


def test_round_trip(tmp_path):
    schedule = BandSchedule.load(written(tmp_path, VALID))
    schedule.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == VALID


def test_what_version_one_lacked_may_be_left_out_and_reads_as_its_default(tmp_path):
    schedule = BandSchedule.load(written(tmp_path, VALID))
    assert schedule.mixture.form == "per-level"
    assert schedule.mixture.floor == 0
    assert schedule.mixture.weights_ci is None
    assert schedule.criterion.metric == "raw"
    assert schedule.classes["visual_degraded"].paired


def test_the_mixture_and_the_details_may_be_left_out(tmp_path):
    value = {k: v for k, v in VALID.items() if k not in ("mixture",)}
    assert BandSchedule.load(written(tmp_path, value)).mixture is None


CURVE = ("classes", "visual_degraded")
FAULTS = [
    (("surprise",), 1, "surprise: extra"),
    (("noise", "surprise"), 1, "noise.surprise: extra"),
    ((*CURVE, "surprise"), 1, "classes.visual_degraded.surprise: extra"),
    (("format",), "other", "format:"),
    (("version",), 2, "version:"),
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
    ((*CURVE, "bands"), [[0.5, 0.2]], "classes.visual_degraded.bands: each band"),
    ((*CURVE, "bands"), [[0.5, 0.9], [0.1, 0.2]], "bands: bands must be sorted"),
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
    ((*CURVE, "possible"), [[0.5, 0.2]], "classes.visual_degraded.possible: each band"),
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


@pytest.mark.parametrize("key", sorted(set(VALID) - {"mixture", "degradations_detail"}))
def test_missing_keys(tmp_path, key):
    value = {name: part for name, part in VALID.items() if name != key}
    with pytest.raises(InputError, match=f"{key}: Field required"):
        BandSchedule.load(written(tmp_path, value))


def test_a_repeated_key_is_refused(tmp_path):
    text = json.dumps(VALID).replace('"shift": 1.0', '"shift": 1.0, "shift": 3.0')
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
    schedule = BandSchedule.model_validate(VALID)
    schedule.check_model("sha256:" + "a" * 64)
    schedule.check_model("sha256:" + "b" * 64, allow_mismatch=True)
    with pytest.raises(InputError, match="measured on other weights"):
        schedule.check_model("sha256:" + "b" * 64)


def test_density_is_uniform_on_the_bands():
    schedule = BandSchedule.model_validate(VALID)
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
