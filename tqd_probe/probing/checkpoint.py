"""The checkpoint of a run, and the noise levels at which it is probed."""

from __future__ import annotations

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.processes import Processes, launcher_shards
from tqd_probe.models.base import VideoModel
from tqd_probe.models.load import load_model
from tqd_probe.models.placement import Placement
from tqd_probe.probing.settings import ProbeRunSettings


def load_model_to_probe(
    settings: ProbeRunSettings,
    device: str | None = None,
    placement: Placement = "whole",
) -> VideoModel:
    """Load the checkpoint of a run.

    Args:
        settings: The run's settings.
        device: Of this process, if not the one in the settings.
        placement: Where the network's weights are.

    Returns:
        The model.
    """
    return load_model(
        settings.ckpt,
        device or settings.device,
        settings.dtype,
        lora=settings.lora,
        lora_alpha=settings.lora_alpha,
        expert=settings.expert,
        pipeline=settings.pipeline,
        fuse_lora=settings.fuse_lora,
        vae_dtype=settings.vae_dtype,
        quantise=settings.quantise,
        placement=placement,
    )


def choose_placement(settings: ProbeRunSettings, processes: Processes) -> Placement:
    """Choose where the weights of the network are.

    Args:
        settings: The run's settings.
        processes: The processes of the run.

    Returns:
        ``whole``, ``offloaded``, or ``sharded`` where the user or the launcher asks
        for it.

    Raises:
        InputError: If weights cannot be divided as asked.
    """
    if not (settings.shard or launcher_shards()):
        return "offloaded" if settings.offload else "whole"
    if processes.world == 1:
        raise InputError(
            "--shard: divides weights over processes, and there is one; start several"
            " with accelerate launch, or leave it out"
        )
    for option, given in (
        ("--offload", settings.offload),
        ("--quantise", settings.quantise != "none"),
        ("--compile on", settings.compile == "on"),
        ("--self-check", settings.self_check),
    ):
        if given:
            raise InputError(
                f"{option}: needs weights that are whole in every process, which"
                " --shard divides; leave out one"
            )
    return "sharded"


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
