"""Weight files of a component: find, check, fingerprint and load them."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, read_json

UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
    RecursionError,
)  # what parsing a damaged header may raise
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# What `from_pretrained` looks for, in its order: diffusers, then transformers. A folder
# may hold more: an unsharded file of an earlier save, variants such as fp16.
LOADED = (
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
)
WEIGHT_TYPES = {"F64", "F32", "F16", "BF16"}
FP8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
INDEX_TYPES = {"I64", "I32", "BOOL"}  # buffers such as position_ids, never weights


def weight_files(component: Path) -> list[Path]:
    """List the weight files of one pipeline component: those that are loaded.

    Args:
        component: The component's folder inside the pipeline directory.

    Returns:
        The safetensors files that `from_pretrained` reads there, sorted by name; others
        in the folder are left out.

    Raises:
        InputError: If the folder is missing, has no such file (pickled weights are
            never opened: loading them runs code), or an index at fault.
    """
    if not component.is_dir():
        raise InputError(
            f"{component}: missing; the pipeline's model_index.json names it, copy the"
            " whole checkpoint"
        )
    found = [component / name for name in LOADED if (component / name).is_file()]
    if found:
        return _shards(found[0]) if found[0].suffix == ".json" else found[:1]
    others = sorted(path.name for path in component.glob("*.safetensors"))
    if others:
        raise InputError(
            f"{component}: {others[0]} is not what is loaded ({LOADED[1]} or"
            f" {LOADED[2]}, or the index of its parts); rename it, or save the"
            " checkpoint without a variant"
        )
    pickles = [p.name for pattern in PICKLES for p in component.glob(pattern)]
    if pickles:
        raise InputError(
            f"{component / pickles[0]}: pickled weights are refused; save the"
            " checkpoint with safe_serialization=True"
        )
    raise InputError(f"{component}: no .safetensors weights; copy them there")


def _shards(index: Path) -> list[Path]:
    """Return the files that an index names.

    Raises:
        InputError: If the index is damaged or a file is missing.
    """
    value = read_json(index, "an index of weight files")
    parts = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(parts, dict) or not parts:
        raise InputError(f"{index}: weight_map: missing; copy the component again")
    names = sorted({Path(str(name)).name for name in parts.values()})
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise InputError(
            f"{index.parent / missing[0]}: missing ({len(missing)} of {len(names)}"
            f" files that {index.name} names); copy the component again"
        )
    return [index.parent / name for name in names]


def load_component(cls: Any, component: Path, **options: Any) -> Any:
    """Load one component of a pipeline; every weight must be there.

    Args:
        cls: Its class, with `from_pretrained` and `output_loading_info`.
        component: The component's folder.
        **options: Passed on to `from_pretrained`.

    Returns:
        The component, in evaluation mode.

    Raises:
        InputError: If files are damaged or weights do not match the configuration
            (libraries would initialise missing ones at random).
    """
    try:
        made, notes = cls.from_pretrained(
            component,
            output_loading_info=True,
            use_safetensors=True,
            local_files_only=True,
            **options,
        )
    except Exception as error:  # libraries raise many types
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{component}: cannot be loaded ({type(error).__name__}: {reason}); copy"
            " the component again"
        ) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if notes.get(kind):
            first = sorted(map(str, notes[kind]))[0]
            raise InputError(
                f"{component}: {kind.replace('_keys', '')} weights"
                f" ({len(notes[kind])}, such as {first}); config.json and weights must"
                " be of one model"
            )
    return made.eval()


def read_config(component: Path, class_name: str) -> dict[str, Any]:
    """Read a component's `config.json` and check its class.

    Args:
        component: The component's folder.
        class_name: Class that the configuration must name.

    Returns:
        The configuration.

    Raises:
        InputError: If the file is missing, damaged or of another class.
    """
    path = component / "config.json"
    if not path.is_file():
        raise InputError(f"{path}: missing; copy the whole checkpoint")
    config = read_json(path, "a component's configuration")
    named = [] if not isinstance(config, dict) else config.get("architectures") or []
    stated = config.get("_class_name") if isinstance(config, dict) else None
    if class_name not in (stated, *named):
        raise InputError(
            f"{path}: _class_name {stated or named or None!r}, expected"
            f" {class_name!r}; copy the component again"
        )
    return dict(config)


def read_header(
    path: Path, kinds: set[str] | None = WEIGHT_TYPES | INDEX_TYPES
) -> tuple[dict[str, Any], int]:
    """Read a safetensors header and check the length of the file.

    Args:
        path: The file.
        kinds: Types of tensors that are read; None: any.

    Returns:
        The tensors' entries (dtype, shape, data_offsets) and the offset of the data.

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
        found = {str(entry["dtype"]) for entry in header.values()}
        starts = [int(entry["data_offsets"][0]) for entry in header.values()]
        end = int(end)
    except UNREADABLE:
        raise InputError(f"{path}: not a complete safetensors file; {cure}") from None
    unsupported = sorted(found - (kinds or found))
    if unsupported:
        raise InputError(
            f"{path}: tensors of type {unsupported[0]}; only floating-point weights are"
            " probed"
        )
    if any(start > end for start in starts) or 8 + length + end != size:
        raise InputError(
            f"{path}: {size} bytes, its header promises {8 + length + end}"
            f" (truncated?); {cure}"
        )
    return header, 8 + length


def fingerprint(component: Path) -> str:
    """Hash the tensors of a component, however they are sharded.

    Args:
        component: The component's folder.

    Returns:
        As `fingerprint_of_files`.

    Raises:
        InputError: If a weight file is missing or damaged.
    """
    return fingerprint_of_files(weight_files(component), WEIGHT_TYPES | INDEX_TYPES)


def fingerprint_of_files(files: Iterable[Path], kinds: set[str] | None = None) -> str:
    """Hash the tensors of safetensors files.

    Args:
        files: The files, whose tensors have different names.
        kinds: Types of tensors that are read; None: any.

    Returns:
        ``sha256:`` and 64 hexadecimal digits over names, types, shapes and bytes.

    Raises:
        InputError: If a weight file is missing or damaged.
    """
    entries: dict[str, list[Any]] = {}
    for path in files:
        header, start = read_header(path, kinds)
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
