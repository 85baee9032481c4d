"""The device of a run, from the option ``--device``."""

from __future__ import annotations

from tqd_probe.core.errors import InputError


def resolve_device(name: str) -> str:
    """Choose the torch device that `--device` means on this machine.

    Call it where a network is loaded, not earlier: asking for GPUs starts CUDA, and a
    process that has started CUDA cannot share it with processes it forks.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is ``cuda`` where there is a GPU.

    Raises:
        InputError: If the GPU asked for is missing.
    """
    if name == "cpu":
        return name
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    if not count:
        raise InputError(f"--device {name}: no GPU is available; use --device cpu")
    number = int(name.partition(":")[2] or 0)
    if number >= count:
        raise InputError(
            f"--device {name}: this machine has {count} GPUs, counted from 0; use"
            f" cuda:0 to cuda:{count - 1}"
        )
    return name
