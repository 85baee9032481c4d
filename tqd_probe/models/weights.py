"""Weight files: only safetensors, checked whole before anything is loaded."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from tqd_probe.errors import InputError
from tqd_probe.files import digest

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def weight_files(component: Path) -> list[Path]:
    """List the weight files of one pipeline component.

    Args:
        component: The component's folder inside the pipeline directory.

    Returns:
        Its safetensors files, sorted by name.

    Raises:
        InputError: If the folder is missing, or has no safetensors (pickled weights
            are never opened: loading them runs code).
    """
    if not component.is_dir():
        raise InputError(
            f"{component}: missing; the pipeline's model_index.json names it, copy the"
            " whole checkpoint"
        )
    files = sorted(component.glob("*.safetensors"))
    if not files:
        pickles = [p.name for pattern in PICKLES for p in component.glob(pattern)]
        if pickles:
            raise InputError(
                f"{component / pickles[0]}: pickled weights are refused; save the"
                " checkpoint with safe_serialization=True"
            )
        raise InputError(f"{component}: no .safetensors weights; copy them there")
    return files


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Read a safetensors header and check that the file is whole.

    Args:
        path: The file.

    Returns:
        The tensors' entries (dtype, shape, data_offsets) and where data begins.

    Raises:
        InputError: If the file is truncated, too long or not safetensors.
    """
    size = path.stat().st_size
    cure = "download or copy the file again"
    try:
        with open(path, "rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            header = json.loads(handle.read(min(length, size)))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        raise InputError(f"{path}: not a whole safetensors file; {cure}") from None
    if 8 + length + end != size:
        raise InputError(
            f"{path}: {size} bytes, its header promises {8 + length + end}"
            f" (truncated?); {cure}"
        )
    return header, 8 + length


def fingerprint(component: Path) -> str:
    """Hash the tensors of a component, however they are split over files.

    Args:
        component: The component's folder.

    Returns:
        ``sha256:`` and 64 hexadecimal digits over names, types, shapes and bytes.

    Raises:
        InputError: If a weight file is missing or damaged.
    """
    entries: dict[str, list[Any]] = {}
    for path in weight_files(component):
        header, start = read_header(path)
        with open(path, "rb") as handle:
            for name, entry in header.items():
                low, high = entry["data_offsets"]
                handle.seek(start + low)
                data = hashlib.sha256()
                remaining = high - low
                while remaining:
                    block = handle.read(min(remaining, 1 << 24))
                    if not block:
                        raise InputError(f"{path}: ends early; copy the file again")
                    data.update(block)
                    remaining -= len(block)
                entries[name] = [entry["dtype"], entry["shape"], data.hexdigest()]
    return "sha256:" + digest(entries)
