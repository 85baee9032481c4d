"""Safetensors files with a checksum over their content and a label."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tqd_probe.core.files import staged

Tensors = dict[str, np.ndarray]


def write_tensors(path: Path, tensors: Tensors, label: str, sync: bool = False) -> None:
    """Write arrays atomically, with a checksum.

    Args:
        path: The safetensors file.
        tensors: Arrays by name.
        label: What the file holds; reading it under another label fails.
        sync: Force the bytes to the disk.
    """
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    checksum = _checksum(tensors, label)
    with staged(path, sync=sync) as part:
        save_file(tensors, part, metadata={"checksum": checksum})


def read_tensors(path: Path, label: str) -> Tensors | None:
    """Read arrays and check that they are what was written.

    Args:
        path: The safetensors file.
        label: What the file must hold.

    Returns:
        Arrays by name; None if the file is missing, damaged or has another label.
    """
    try:
        with safe_open(path, "np") as handle:
            tensors = {name: handle.get_tensor(name) for name in list(handle.keys())}
            stated = (handle.metadata() or {}).get("checksum")
    except (SafetensorError, OSError, ValueError, TypeError):
        return None
    return tensors if stated == _checksum(tensors, label) else None


def _checksum(tensors: Tensors, label: str) -> str:
    """Return the SHA-256 of label, names, types, shapes and bytes."""
    state = hashlib.sha256(label.encode())
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        state.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
        state.update(value.data)
    return state.hexdigest()
