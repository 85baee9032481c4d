"""The checkpoint of a run, and the noise levels at which it is probed."""

from __future__ import annotations

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.models.base import VideoModel
from tqd_probe.models.load import load_model
from tqd_probe.probing.settings import ProbeRunSettings


def load_model_to_probe(
    settings: ProbeRunSettings, device: str | None = None
) -> VideoModel:
    """Load the checkpoint of a run.

    Args:
        settings: The run's settings.
        device: Of this process, if not the one in the settings.

    Returns:
        The model.
    """
    return load_model(
        settings.ckpt,
        device or settings.device,
        settings.dtype,
        lora=settings.lora,
        expert=settings.expert,
        fuse_lora=settings.fuse_lora,
        vae_dtype=settings.vae_dtype,
        quantise=settings.quantise,
        placement="offloaded" if settings.offload else "whole",
    )


def model_levels(settings: ProbeRunSettings, model: VideoModel) -> np.ndarray:
    """Choose the noise levels of a run: inside the model's range, on its timesteps.

    Args:
        settings: The run's settings.
        model: The checkpoint.

    Returns:
        Levels, rising ``[L]``.

    Raises:
        InputError: If a level is outside the range, or two fall on one timestep.
    """
    sigmas = model.nearest_levels(settings.sigmas(*model.sigma_range))
    if (np.diff(sigmas) <= 0).any():
        raise InputError(
            f"--levels {settings.levels}: two levels fall on one timestep of this"
            " model; give fewer"
        )
    return sigmas
