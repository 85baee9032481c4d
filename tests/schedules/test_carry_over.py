import json
import math

import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import logsnr
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.carry_over import (
    carry_over,
    from_native,
    native_bands,
    to_native,
)

LEVELS = [0.05, 0.3, 0.7, 0.95]
BANDS = [[0.0, 0.123456789], [0.61, 0.987654321]]


class Model:
    """What carrying over asks of a model."""

    expert = None

    def __init__(self, family, prediction, letter):
        self.family, self.prediction = family, prediction
        self.fingerprint = "sha256:" + 64 * letter


FLOW = Model("wan", "flow_velocity", "a")
VP = Model("cogvideox", "v_prediction", "b")


@pytest.fixture
def schedule():
    curve = {
        "degradations": {"blur": 3},
        "clips": 4,
        "cosine": [0.9] * 4,
        "cosine_ci": [[0.8, 1.0]] * 4,
        "cosine_naive": [0.8] * 4,
        "norm_ratio": [1.0] * 4,
        "norm_ratio_ci": [[0.9, 1.1]] * 4,
        "bias2": [0.1] * 4,
        "bands": BANDS,
        "beta": None,
        "logit_offset": None,
    }
    value = {
        "format": "tqd-band-schedule",
        "version": 1,
        "provenance": {"tool_version": "0", "argv": [], "seed": 0},
        "model": {
            "family": "wan",
            "source": "here",
            "fingerprint": FLOW.fingerprint,
            "expert": None,
            "parameters": "all",
            "prediction": "flow_velocity",
        },
        "noise": {
            "axis": "sigma",
            "shift": 1.0,
            "levels": LEVELS,
            "logsnr": logsnr(np.array(LEVELS)).tolist(),
        },
        "criterion": {
            "name": "cosine",
            "cos_min": 0.9,
            "norm_range": [0.5, 2.0],
            "confidence": 0.95,
        },
        "golden": {"clips": 4, "draws": 1, "snr": [1.0] * 4, "resolved": [True] * 4},
        "classes": {"visual_degraded": curve},
        "degradations_detail": {"blur:3": curve},
    }
    return BandSchedule.model_validate(value)


def test_flow_to_vp_and_back_loses_nothing(schedule):
    there = carry_over(schedule, VP, allow_mismatch=True)
    back = carry_over(there, FLOW, allow_mismatch=True)
    assert there.model.prediction == "v_prediction"
    assert there.model.fingerprint == VP.fingerprint
    assert there.model.source == "here"
    for each in (there, back):
        found = each.classes["visual_degraded"].bands
        np.testing.assert_allclose(found, BANDS, rtol=0, atol=1e-9)
        np.testing.assert_allclose(each.noise.levels, LEVELS, rtol=0, atol=1e-9)
        assert each.noise.logsnr == schedule.noise.logsnr
        detail = each.degradations_detail["blur:3"].bands
        np.testing.assert_allclose(detail, BANDS, rtol=0, atol=1e-9)
    assert back.model.model_dump() == schedule.model.model_dump()
    json.dumps(there.model_dump(mode="json"), allow_nan=False)


def test_the_native_axis_of_vp_has_equal_logsnr_and_other_numbers(schedule):
    sigma = np.array(LEVELS)
    noise = to_native(sigma, "v_prediction")  # sqrt(1 - abar)
    abar = 1 - noise**2
    np.testing.assert_allclose(np.log(abar / (1 - abar)), logsnr(sigma), rtol=1e-12)
    assert to_native(np.array([0.5]), "v_prediction")[0] == pytest.approx(
        math.sqrt(0.5), abs=1e-15
    )
    low = native_bands(schedule, "visual_degraded", "v_prediction")[0]
    assert low == (0.0, pytest.approx(0.1394685, abs=1e-6))
    unchanged = native_bands(schedule, "visual_degraded", "flow_velocity")[0]
    assert unchanged == (0.0, 0.123456789)


@pytest.mark.parametrize("prediction", ["flow_velocity", "v_prediction"])
def test_the_native_axis_is_inverted(prediction):
    sigma = np.concatenate([[0, 1, 1e-6, 1 - 1e-6], np.linspace(0.001, 0.999, 999)])
    again = from_native(to_native(sigma, prediction), prediction)
    np.testing.assert_allclose(again, sigma, rtol=0, atol=1e-9)


def test_other_weights_are_refused_unless_allowed(schedule):
    with pytest.raises(InputError, match="measured on other weights"):
        carry_over(schedule, VP)
    assert carry_over(schedule, FLOW).model == schedule.model


def test_experts_are_never_exchanged(schedule):
    expert = Model("wan", "flow_velocity", "a")
    expert.expert = "high"
    with pytest.raises(InputError, match="a single network, not on the expert"):
        carry_over(schedule, expert, allow_mismatch=True)
