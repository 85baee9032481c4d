import math

import numpy as np
import pytest
from band_schedules import VERSION_2

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import logsnr
from tqd_probe.sampling.base_density import MeasuredDensity
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.carry_over import (
    at_scale,
    carry_over,
    from_native,
    native_bands,
    to_native,
)
from tqd_probe.schedules.fits import fit_beta
from tqd_probe.schedules.golden_density import normalised

LEVELS = [0.05, 0.3, 0.7, 0.95]
BANDS = [[0.0, 0.123456789], [0.61, 0.987654321]]


class Model:
    """What carrying over asks of a model."""

    expert = None

    def __init__(self, family, prediction, letter):
        self.family, self.prediction, self.source = family, prediction, family
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


def test_what_was_measured_stays_and_the_new_model_is_named(schedule):
    there = carry_over(schedule, VP)
    assert there.model == schedule.model
    assert there.carried_to.model_dump() == {
        "family": "cogvideox",
        "source": "cogvideox",
        "fingerprint": VP.fingerprint,
        "prediction": "v_prediction",
        "scale": 1.0,
    }
    found = there.classes["visual_degraded"].bands
    np.testing.assert_allclose(found, BANDS, rtol=0, atol=1e-12)
    np.testing.assert_allclose(there.noise.levels, LEVELS, rtol=0, atol=1e-12)
    with pytest.raises(InputError, match="measured on other weights"):
        there.check_model(VP.fingerprint)
    assert BandSchedule.model_validate_json(there.model_dump_json()) == there


def test_scaled_latents_move_every_level_by_two_logarithms(schedule):
    value = schedule.model_dump(mode="json")
    value["noise"]["shift"] = 5.0
    curve = value["classes"]["visual_degraded"]
    curve["possible"] = [[0.0, 0.2], [0.5, 1.0]]
    curve["edges_ci"] = [[[0, 0], [0.1, 0.2]], [[0.5, 0.7], [0.9, 1]]]
    source = BandSchedule.model_validate(value)
    there = carry_over(source, VP, scale=1.8)
    assert there.noise.shift == 1.0
    before, now = source.classes["visual_degraded"], there.classes["visual_degraded"]
    for key in ("bands", "possible", "edges_ci"):
        old, new = (np.array(getattr(each, key)).ravel() for each in (before, now))
        inner = (old > 0) & (old < 1)
        moved = logsnr(old[inner]) - logsnr(new[inner])
        np.testing.assert_allclose(moved, 2 * np.log(1.8), rtol=1e-9)
        np.testing.assert_array_equal(new[~inner], old[~inner])
    levels = np.array(there.noise.levels)
    np.testing.assert_allclose(there.noise.logsnr, logsnr(levels), rtol=1e-9)
    assert now.beta.shift == 1.0
    assert now.beta.alpha == pytest.approx(fit_beta(now.bands)["alpha"])
    detail = there.degradations_detail["blur:3"].bands
    np.testing.assert_allclose(detail, at_scale(np.array(BANDS), 1.8))
    back = carry_over(there, FLOW, scale=1 / 1.8)
    assert back.carried_to.scale == pytest.approx(1)
    np.testing.assert_allclose(back.classes["visual_degraded"].bands, BANDS, atol=1e-12)
    with pytest.raises(InputError, match="scale 0: must be above 0"):
        carry_over(schedule, VP, scale=0.0)


def test_a_level_keeps_its_share_of_the_golden_density():
    levels = np.array(VERSION_2["noise"]["levels"])
    values = normalised(levels, np.array([3.0, 1.0])).model_dump()
    schedule = BandSchedule.model_validate(VERSION_2 | {"density": values})
    there = carry_over(schedule, VP, scale=1.8)
    old, new = (
        MeasuredDensity(np.array(s.noise.levels), np.array(s.golden_density.values))
        for s in (schedule, there)
    )
    moved = at_scale(levels, 1.8)
    slope = (at_scale(levels + 1e-6, 1.8) - at_scale(levels - 1e-6, 1.8)) / 2e-6
    shares = new.pdf(moved) * slope / old.pdf(levels)
    assert shares[1] == pytest.approx(shares[0])
    assert new.cdf(np.array(1.0)) == pytest.approx(1)
    same = carry_over(schedule, VP).golden_density.values
    assert same == pytest.approx(schedule.golden_density.values)


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


def test_experts_are_never_exchanged(schedule):
    expert = Model("wan", "flow_velocity", "a")
    expert.expert = "high"
    with pytest.raises(InputError, match="a single network, not on the expert"):
        carry_over(schedule, expert)
