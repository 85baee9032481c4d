"""Complete pipeline directories, written beside their place and then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json, write_json
from tqd_probe.models.lora import has_lora, merged_state

PROVENANCE = "tqd_probe.json"
NOTES = (".json", ".md", ".txt")


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` when the block ends well.

    Args:
        path: Final place; absent, or an empty folder.

    Yields:
        The folder to write to. It is removed when the block raises.

    Raises:
        InputError: If the place is taken or cannot be written to.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists and is not empty; choose another folder")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                with open(file, "rb") as handle:
                    os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); free the disk or"
            " choose another folder"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def save_full(
    source: Path,
    networks: dict[str, torch.nn.Module],
    folder: Path,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a pipeline directory with other weights in some of its networks.

    Args:
        source: The pipeline directory the networks came from; every other component
            and note (``native_clip.json``, licence) is copied from it.
        networks: Networks by component name; a LoRA they carry is added to the
            weights.
        folder: Where to write; absent or empty.
        metadata: Where the weights come from; written to ``tqd_probe.json``.

    Returns:
        The folder: ``from_pretrained`` of the pipeline takes it.
    """
    index = read_json(source / "model_index.json", "a diffusers pipeline index")
    with staged_folder(Path(folder)) as part:
        for entry in sorted(source.iterdir()):
            if entry.is_dir() and entry.name in index and entry.name not in networks:
                shutil.copytree(entry, part / entry.name)
            elif entry.is_file() and _is_note(entry.name):
                shutil.copy(entry, part / entry.name)
        for name, network in networks.items():
            plain(network).save_pretrained(part / name, safe_serialization=True)
        if metadata:
            write_json(part / PROVENANCE, metadata)
    return Path(folder)


def _is_note(name: str) -> bool:
    """Say whether a file beside the components belongs to the pipeline."""
    return name.endswith(NOTES) or name.upper().startswith("LICENSE")


def plain(network: torch.nn.Module) -> Any:
    """Return a network without LoRA layers, the update added to its weights.

    Args:
        network: The network; it is not changed.

    Returns:
        The network itself where it carries no LoRA, else one that shares the
        weights the LoRA leaves alone; for saving only.
    """
    if not has_lora(network):
        return network
    cls: Any = type(network)
    with torch.device("meta"):
        bare = cls.from_config(network.config)
    bare.load_state_dict(merged_state(network), assign=True)
    return bare
