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
from tqd_probe.core.noise import logsnr, shift_sigma, sigma_of_logsnr
from tqd_probe.models.base import VideoModel
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.fits import fit_beta, fit_logit_offset
from tqd_probe.schedules.golden_density import normalised

VP = "v_prediction"
INTERVALS = ("bands", "test", "avoid", "edges_ci", "possible")  # of sigma


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
    schedule: BandSchedule, model: VideoModel, scale: float = 1.0
) -> BandSchedule:
    """Carry a schedule to another model: levels and band edges at equal logsnr.

    Nothing is measured: curves, `model` and `provenance` stay those of the model the
    schedule comes from, and `carried_to` names the other one. To train it by the
    schedule takes ``--allow-model-mismatch``, as for any schedule of other weights.

    Latents that are `scale` times larger need `scale` times more noise to hide the
    same content, ``logsnr' = logsnr - 2 ln scale``. The timestep shift is reset to 1:
    that of the source spaced the source's levels.

    Args:
        schedule: A schedule, measured on any model.
        model: The model to be trained.
        scale: Standard deviation of its latents over that of the source's.

    Returns:
        The schedule on the noise axis of the new model.

    Raises:
        InputError: If one of the models is an expert and the other is not that expert,
            or `scale` is not above 0.
    """
    if not (scale > 0 and np.isfinite(scale)):
        raise InputError(f"scale {scale:g}: must be above 0")
    if schedule.model.expert != model.expert:
        raise InputError(
            f"schedule of {schedule.model.source}: measured on"
            f" {_named(schedule.model.expert)}, not on {_named(model.expert)}: experts"
            " have their own levels and cannot be exchanged; measure this one"
        )

    def carried(sigma: Any) -> Any:
        return at_scale(np.array(sigma, dtype=np.float64), scale).tolist()

    value = schedule.to_json()
    for where in ("classes", "degradations_detail"):
        for entry in value.get(where, {}).values():
            for key in INTERVALS:
                if entry.get(key) is not None:
                    entry[key] = [carried(band) for band in entry[key]]
            bands = [(low, high) for low, high in entry.get("bands", [])]
            entry["beta"] = fit_beta(bands)
            entry["logit_offset"] = fit_logit_offset(bands)
    if value.get("mixture"):
        value["mixture"]["fits"] = None  # of the shift that was
    before_levels = np.array(schedule.noise.levels)
    levels = at_scale(before_levels, scale)
    if schedule.golden_density is not None:
        # A level keeps its share: dsigma / dsigma' times the density.
        slope = (1 + (scale - 1) * before_levels) ** 2 / scale
        density = normalised(levels, np.array(schedule.golden_density.values) * slope)
        value["density"] = density.model_dump()
    value["noise"] |= {
        "shift": 1.0,
        "levels": levels.tolist(),
        "logsnr": (np.array(schedule.noise.logsnr) - 2 * np.log(scale)).tolist(),
    }
    before = schedule.carried_to.scale if schedule.carried_to else 1.0
    value["carried_to"] = {
        "family": model.family,
        "source": model.source,
        "fingerprint": model.fingerprint,
        "prediction": model.prediction,
        "scale": before * scale,
    }
    return BandSchedule.model_validate(value)


def at_scale(sigma: np.ndarray, scale: float) -> np.ndarray:
    """Return the levels that hide the content of latents of another size as much.

    Args:
        sigma: Levels in [0, 1].
        scale: Standard deviation of the new latents over that of the old ones.

    Returns:
        Levels of ``logsnr - 2 ln scale``, same shape.
    """
    return shift_sigma(
        sigma, scale
    )  # sigma' / (1 - sigma') = scale sigma / (1 - sigma)


def _named(expert: str | None) -> str:
    """Name an expert, or the lack of one."""
    return "a single network" if expert is None else f"the expert for {expert} noise"
