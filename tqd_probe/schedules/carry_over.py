"""Carrying a band schedule to a model of another noise axis, by equal logsnr.

A level means the same to a flow-matching and to a variance-preserving model where the
signal-to-noise ratio is the same (Kingma et al., 2021). The ratio of a level is
``logsnr = 2 log((1 - sigma) / sigma)`` for flow matching; for a variance-preserving
model it is ``log(abar / (1 - abar))``, and its sigma here is by definition the one of
equal ratio. In logsnr a level is therefore its own image; on a model's *native* axis,
``sqrt(1 - abar)`` or ``t``, it is not, and that is where exchanged bands go wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import logsnr, sigma_of_logsnr
from tqd_probe.models.base import VideoModel
from tqd_probe.schedules.band_schedule import BandSchedule

VP = "v_prediction"


def to_native(sigma: np.ndarray, prediction: str) -> np.ndarray:
    """Bring levels to a model's own noise amplitude.

    Args:
        sigma: Levels in [0, 1].
        prediction: What the model predicts (`VideoModel.prediction`).

    Returns:
        sigma itself for flow matching; ``sqrt(1 - abar)`` of equal logsnr,
        ``1 / sqrt(1 + exp(logsnr))``, for a variance-preserving model.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    if prediction != VP:
        return sigma
    inside = np.clip(sigma, 1e-300, 1 - 1e-16)
    noise = 1 / np.sqrt(1 + np.exp(np.clip(logsnr(inside), -700, 700)))
    return np.where(sigma <= 0, 0.0, np.where(sigma >= 1, 1.0, noise))


def from_native(value: np.ndarray, prediction: str) -> np.ndarray:
    """Invert `to_native`.

    Args:
        value: Noise amplitudes in [0, 1] of the model's own axis.
        prediction: What the model predicts.

    Returns:
        Levels sigma in [0, 1].
    """
    value = np.asarray(value, dtype=np.float64)
    if prediction != VP:
        return value
    inside = np.clip(value, 1e-150, 1 - 1e-16)
    snr = np.log1p(-(inside**2)) - 2 * np.log(inside)
    found = sigma_of_logsnr(snr)
    return np.where(value <= 0, 0.0, np.where(value >= 1, 1.0, found))


def native_bands(
    schedule: BandSchedule, name: str, prediction: str
) -> list[tuple[float, float]]:
    """Return a class's bands on the noise axis of a kind of model.

    Args:
        schedule: The band schedule.
        name: A class of it.
        prediction: What the model predicts.

    Returns:
        Intervals of the model's own noise amplitude, rising.
    """
    bands = np.array(schedule.classes[name].bands, dtype=np.float64).reshape(-1, 2)
    return [(float(a), float(b)) for a, b in to_native(bands, prediction)]


def carry_over(
    schedule: BandSchedule, model: VideoModel, allow_mismatch: bool = False
) -> BandSchedule:
    """Carry a schedule to another model: levels and band edges at equal logsnr.

    Nothing is measured: the curves stay those of the model the schedule comes from,
    and so do its `model.source` and `provenance`.

    Args:
        schedule: A schedule, measured on any model.
        model: The model to be trained.
        allow_mismatch: Carry it over although it was measured on other weights.

    Returns:
        The schedule for the new model's family, prediction and fingerprint.

    Raises:
        InputError: If the weights are not those it was measured on, unless allowed;
            or if one of the models is an expert and the other is not that expert.
    """
    schedule.check_model(model.fingerprint, allow_mismatch)
    if schedule.model.expert != model.expert:
        raise InputError(
            f"schedule of {schedule.model.source}: measured on"
            f" {_named(schedule.model.expert)}, not on {_named(model.expert)}: experts"
            " have their own levels and cannot be exchanged; measure this one"
        )

    def carried(sigma: Any) -> Any:
        own = to_native(np.array(sigma), schedule.model.prediction)
        same = from_native(own, schedule.model.prediction)
        return from_native(to_native(same, model.prediction), model.prediction).tolist()

    value = schedule.model_dump(mode="json")
    for where in ("classes", "degradations_detail"):
        for entry in value[where].values():
            entry["bands"] = [carried(band) for band in entry["bands"]]
            for key in ("edges_ci", "possible"):
                if entry[key] is not None:
                    entry[key] = [carried(band) for band in entry[key]]
    value["noise"]["levels"] = carried(schedule.noise.levels)
    value["model"] |= {
        "family": model.family,
        "fingerprint": model.fingerprint,
        "prediction": model.prediction,
    }
    return BandSchedule.model_validate(value)


def _named(expert: str | None) -> str:
    """Name an expert, or the lack of one."""
    return "a single network" if expert is None else f"the expert for {expert} noise"
