"""The number types that ``auto`` means: by device, and by how weights are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models.weights import FP8, WEIGHT_TYPES, read_header, weight_files

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SMALL = 100 * 10**6  # bytes of a component, below which bf16 gains nothing


def choose_dtype(
    option: str, asked: str, device: str, component: Path | Sequence[Path]
) -> str:
    """Choose the number type in which a component of a checkpoint computes.

    ``auto`` is ``fp32`` on a CPU, and on a GPU ``bf16``, except where the GPU does not
    have it, and where the checkpoint says otherwise: weights that are stored in float16
    were trained in it (CogVideoX 2B), and bf16 has fewer digits; float32 holds them
    all (beside fp8 it says nothing). A component of a few megabytes stored in float32
    stays so: it is not faster in bf16. That other weights are stored in float32 says
    nothing (all of Wan 2.1 are, and run in bf16).

    Args:
        option: Name of the option, for messages.
        asked: ``auto``, ``fp32`` or ``bf16``.
        device: The torch device, such as ``cpu`` or ``cuda:0``.
        component: The component's folder in the pipeline directory, or its weight
            files; read for ``auto`` on a GPU only.

    Returns:
        ``fp32`` or ``bf16``.

    Raises:
        InputError: If the type is unknown, or a weight file is missing or damaged.
    """
    if asked in DTYPES:
        return asked
    if asked != "auto":
        raise InputError(f"{option} {asked}: choose from auto, {', '.join(DTYPES)}")
    if not has_bf16(device):
        return "fp32"
    kinds, size = stored_types(component)
    if kinds & FP8.keys():
        return "bf16"
    if ("F16" in kinds and "BF16" not in kinds) or (kinds == {"F32"} and size < SMALL):
        return "fp32"
    return "bf16"


def has_bf16(device: str) -> bool:
    """Return whether a GPU computes in bf16 itself, without emulation.

    Args:
        device: A torch device.

    Returns:
        True for NVIDIA GPUs from the A100 generation on, for example.
    """
    if torch.device(device).type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def stored_types(component: Path | Sequence[Path]) -> tuple[set[str], int]:
    """Read from the headers in which types the weights of a component are stored.

    Args:
        component: The component's folder, or its weight files.

    Returns:
        Types as safetensors writes them, such as ``F32`` or ``BF16``, and the bytes of
        all weights.

    Raises:
        InputError: If a weight file is missing or damaged.
    """
    kinds, size = set(), 0
    files = weight_files(component) if isinstance(component, Path) else component
    for path in files:
        header, _ = read_header(path, kinds=None)
        for entry in header.values():
            kinds.add(str(entry["dtype"]))
            low, high = entry["data_offsets"]
            size += high - low
    return kinds & {*WEIGHT_TYPES, *FP8}, size
