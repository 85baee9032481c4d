"""Save a complete diffusers pipeline directory with other network weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from tqd_probe.core.files import read_json, staged_folder, write_json
from tqd_probe.models.lora import has_lora, merged_state

PROVENANCE = "tqd_probe.json"
COPIED = (".json", ".md", ".txt")


def save_full(
    source: Path,
    networks: dict[str, torch.nn.Module],
    folder: Path,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a pipeline directory with other weights in some of its networks.

    Args:
        source: The pipeline directory the networks came from; all other components
            and the files beside them (``native_clip.json``, licence) are copied.
        networks: Networks by component name; a LoRA of theirs is merged into the
            weights.
        folder: Where to write; absent or empty.
        metadata: Where the weights come from; written to ``tqd_probe.json``.

    Returns:
        The folder; the pipeline's ``from_pretrained`` loads it.
    """
    index = read_json(source / "model_index.json", "a diffusers pipeline index")
    with staged_folder(Path(folder)) as part:
        for entry in sorted(source.iterdir()):
            if entry.is_dir() and entry.name in index and entry.name not in networks:
                shutil.copytree(entry, part / entry.name)
            elif entry.is_file() and _is_copied(entry.name):
                shutil.copy(entry, part / entry.name)
        for name, network in networks.items():
            without_lora(network).save_pretrained(part / name, safe_serialization=True)
        if metadata:
            write_json(part / PROVENANCE, metadata)
    return Path(folder)


def _is_copied(name: str) -> bool:
    """Return whether a file beside the components belongs to the pipeline."""
    return name.endswith(COPIED) or name.upper().startswith("LICENSE")


def without_lora(network: torch.nn.Module) -> Any:
    """Return a network whose LoRA is merged into its weights.

    Args:
        network: The network; it is not changed.

    Returns:
        The network itself where it has no LoRA; else a copy that shares all weights
        but those the LoRA changes. For saving only.
    """
    if not has_lora(network):
        return network
    cls: Any = type(network)
    with torch.device("meta"):
        merged = cls.from_config(network.config)
    merged.load_state_dict(merged_state(network), assign=True)
    return merged
