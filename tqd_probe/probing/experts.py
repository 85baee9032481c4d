"""Both experts of a checkpoint, each probed alone.

Experts are two networks with parameters of their own, split at a noise level (Wan 2.2
A14B). A cosine across the boundary has no meaning: each is probed over its own range
and gets its own run directory and schedule.
"""

from __future__ import annotations

from tqd_probe.core.errors import InputError
from tqd_probe.probing.run_directory import run_directory
from tqd_probe.probing.settings import ProbeRunSettings

EXPERTS = ("high", "low")


def settings_per_expert(
    settings: ProbeRunSettings,
) -> dict[str | None, ProbeRunSettings]:
    """Divide a probe of both experts into two.

    Args:
        settings: The settings of a probe.

    Returns:
        With ``expert="both"``, settings by expert for the run directories ``OUT/high``
        and ``OUT/low``; else the settings as they are, under their own expert.

    Raises:
        InputError: If both are asked for of a file of one network's weights.
    """
    if settings.expert != "both":
        return {settings.expert: settings}
    if settings.pipeline is not None:
        raise InputError(
            f"--expert both: --ckpt {settings.ckpt} holds the weights of one expert;"
            " choose high or low"
        )
    out = run_directory(settings)
    return {
        expert: settings.model_copy(update={"expert": expert, "out": out / expert})
        for expert in EXPERTS
    }
