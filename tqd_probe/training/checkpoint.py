"""Checkpoints, written atomically: staged, checksummed, then renamed.

``checkpoints/step-00000500/`` holds the state of a run (safetensors and JSON) and the
weights in diffusers' format. It is written under another name; a manifest with the
size and SHA-256 of every file comes last; then the folder is renamed. What a killed
process leaves behind never has the name of a checkpoint, and what was damaged later
does not fit its manifest.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import file_digest, read_json, staged_folder, write_json

MANIFEST = "manifest.json"
NAME = re.compile(r"step-(\d{8})")
Tensors = dict[str, torch.Tensor]


@dataclass
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        step: Optimiser steps done.
        folder: Its folder.
    """

    step: int
    folder: Path

    def tensors(self, name: str) -> Tensors:
        """Return the tensors of one part, such as ``parameters``, on the CPU."""
        return load_file(self.folder / f"{name}.safetensors")

    def state(self) -> dict[str, Any]:
        """Return what is not a tensor."""
        return dict(read_json(self.folder / "state.json", "a checkpoint's state"))


class CheckpointStore:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Keep checkpoints in a folder.

        Args:
            folder: Folder of the checkpoints; may not exist.
            keep: How many to keep, the newest.
        """
        self.folder, self.keep = folder, keep

    def save(
        self,
        step: int,
        tensors: dict[str, Tensors],
        state: dict[str, Any],
        export: Callable[[Path], object] = lambda _: None,
    ) -> Checkpoint:
        """Write a checkpoint and remove the oldest ones.

        Args:
            step: Optimiser steps done.
            tensors: Tensors by part and name.
            state: What is not a tensor; JSON values.
            export: Writes the weights for other programs into the folder it is given.

        Returns:
            The checkpoint.

        Raises:
            InputError: If the disk is full or the folder cannot be written; earlier
                checkpoints are untouched.
        """
        final = self.folder / f"step-{step:08d}"
        self._sweep()
        before = "resumes from the checkpoint before" if self._all() else "starts anew"
        cure = f"free the disk; the same command {before}"
        with staged_folder(final, replace=True, cure=cure) as part:
            for name, values in tensors.items():
                contiguous = {key: value.contiguous() for key, value in values.items()}
                save_file(contiguous, part / f"{name}.safetensors")
            write_json(part / "state.json", state)
            export(part / "weights")
            _write_manifest(part)
        self._prune(final)
        return Checkpoint(step, final)

    def latest(self) -> tuple[Checkpoint | None, list[str]]:
        """Find the newest valid checkpoint.

        Returns:
            The checkpoint, or None; and one sentence for each that was skipped.
        """
        skipped: list[str] = []
        for step, folder in sorted(self._all(), reverse=True):
            fault = find_fault(folder)
            if fault is None:
                return Checkpoint(step, folder), skipped
            skipped.append(f"{folder}: skipped, {fault}")
        return None, skipped

    def _all(self) -> list[tuple[int, Path]]:
        checkpoints = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            match = NAME.fullmatch(path.name)
            if match and path.is_dir():
                checkpoints.append((int(match.group(1)), path))
        return checkpoints

    def _sweep(self) -> None:
        """Remove what killed processes have left."""
        if self.folder.is_dir():
            for path in self.folder.glob(".*.part"):
                shutil.rmtree(path, ignore_errors=True)

    def _prune(self, newest: Path) -> None:
        for _, folder in sorted(self._all())[: -self.keep]:
            if folder == newest:
                continue
            gone = folder.with_name(f".{folder.name}.{os.getpid()}.part")
            os.replace(folder, gone)  # never half a checkpoint under its own name
            shutil.rmtree(gone, ignore_errors=True)
        self._sweep()


def _write_manifest(folder: Path) -> None:
    """Write the size and checksum of every file; the last file to be written."""
    content = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_json(folder / MANIFEST, {"format": "tqd-checkpoint", "files": content})


def find_fault(folder: Path) -> str | None:
    """Check a checkpoint against its manifest.

    Args:
        folder: The checkpoint.

    Returns:
        What is wrong with it, or None.
    """
    try:
        manifest = read_json(folder / MANIFEST, "a checkpoint's manifest")
        entries = dict(manifest["files"])
        for name, entry in entries.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["bytes"]:
                return f"{name} has {path.stat().st_size} of {entry['bytes']} bytes"
            if file_digest(path) != entry["sha256"]:
                return f"{name} is damaged (checksum)"
    except InputError as error:
        return str(error)
    except (KeyError, TypeError, ValueError, OSError) as error:
        return f"{MANIFEST} is damaged ({type(error).__name__})"
    return None if entries else f"{MANIFEST} is empty"
