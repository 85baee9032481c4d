"""The gradient store: one shard per draw, one Gram matrix per finished level.

A shard holds the gradients of all versions of one clip under one noise sample. When
a level has all its shards they are reduced to Gram matrices per module group, which
is all that statistics need, and removed. Every file is written whole and carries a
checksum; a killed run resumes at the draw where it stopped and ends with the same
bytes, because statistics are always computed from what was read back.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tqd_probe.errors import ConfigurationChanged, InputError
from tqd_probe.files import read_json, staged, write_json
from tqd_probe.gradients.gram import LevelGram, reduce_level

COLUMNS = 1 << 18  # columns of the flat gradient held in memory at once


class GradientStore:
    """Shards and Gram matrices of one run."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Open or create a store.

        Args:
            folder: The run's ``gradients/`` folder.
            fingerprint: Hash of everything that shapes the gradients.

        Raises:
            ConfigurationChanged: If the folder holds gradients of another
                configuration.
        """
        self.folder, self.fingerprint = folder, fingerprint
        note = folder / "store.json"
        if note.exists():
            known = read_json(note, "the store's fingerprint").get("fingerprint")
            if known != fingerprint:
                raise ConfigurationChanged(
                    f"{folder}: holds gradients of another configuration; use another"
                    " --out, or --overwrite"
                )
        else:
            write_json(note, {"fingerprint": fingerprint})
        for part in folder.rglob(".*.part"):  # left by a killed run
            part.unlink(missing_ok=True)

    @staticmethod
    def matches(folder: Path, fingerprint: str) -> bool:
        """Say whether a folder holds gradients of this configuration.

        Args:
            folder: The run's ``gradients/`` folder.
            fingerprint: Hash of everything that shapes the gradients.

        Returns:
            True if its gradients can be used.
        """
        note = folder / "store.json"
        if not note.exists():
            return False
        return (
            read_json(note, "the store's fingerprint").get("fingerprint") == fingerprint
        )

    def covered_share(self, measure: Callable[[], float]) -> float:
        """Return the covered share of the squared gradient norm, measured once.

        Args:
            measure: Measures it, when the store does not know it yet.

        Returns:
            The share, 1 when nothing is missing.
        """
        note = self.folder / "coverage.json"
        if not note.exists():
            write_json(note, {"covered_share": measure()})
        return float(read_json(note, "the covered share")["covered_share"])

    def _shard(self, level: int, clip: int, draw: int) -> Path:
        return (
            self.folder
            / f"level-{level:02d}"
            / f"clip-{clip:04d}-draw-{draw:02d}.safetensors"
        )

    def _gram(self, level: int) -> Path:
        return self.folder / f"gram-{level:02d}.safetensors"

    def has_level(self, level: int) -> bool:
        """Say whether a level is finished.

        Args:
            level: Index of the level.

        Returns:
            True if its Gram matrices are stored.
        """
        return self._gram(level).exists()

    def has_draw(self, level: int, clip: int, draw: int) -> bool:
        """Say whether a draw's gradients are stored.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.

        Returns:
            True if the shard is there.
        """
        return self._shard(level, clip, draw).exists()

    def put_draw(
        self,
        level: int,
        clip: int,
        draw: int,
        gradients: np.ndarray,
        losses: np.ndarray,
    ) -> None:
        """Store the gradients of all versions of one clip under one noise sample.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.
            gradients: float32 ``[conditions, size]``.
            losses: float32 ``[conditions]``.
        """
        _write(
            self._shard(level, clip, draw), {"gradients": gradients, "losses": losses}
        )

    def finish_level(
        self,
        level: int,
        clips: int,
        draws: int,
        groups: dict[str, tuple[int, int]],
    ) -> LevelGram:
        """Reduce a level's shards to Gram matrices, store these, drop the shards.

        Args:
            level: Index of the level.
            clips: Number of clips.
            draws: Noise samples per clip.
            groups: Start and stop in the flat gradient by module group.

        Returns:
            The level's Gram matrices, as read back from the file.

        Raises:
            InputError: If a shard is damaged; names it and how to go on.
        """
        paths = [
            [self._shard(level, clip, draw) for draw in range(draws)]
            for clip in range(clips)
        ]
        for path in (path for row in paths for path in row):
            _check(path)
        handles = [[safe_open(path, "np") for path in row] for row in paths]
        losses = np.array([[h.get_tensor("losses") for h in row] for row in handles])

        def columns(start: int, stop: int) -> np.ndarray:
            # [conditions, clips, draws, columns]
            part = [
                [h.get_slice("gradients")[:, start:stop] for h in row]
                for row in handles
            ]
            return np.moveaxis(np.array(part), 2, 0)

        gram = reduce_level(columns, groups, losses, COLUMNS)
        _write(self._gram(level), gram.tensors())
        handles.clear()
        shutil.rmtree(self.folder / f"level-{level:02d}")
        return self.level(level)

    def level(self, level: int) -> LevelGram:
        """Read the Gram matrices of a finished level.

        Args:
            level: Index of the level.

        Returns:
            The level's Gram matrices.

        Raises:
            InputError: If the file is damaged; names it and how to go on.
        """
        path = self._gram(level)
        _check(path)
        with safe_open(path, "np") as handle:
            tensors = {name: handle.get_tensor(name) for name in list(handle.keys())}
        return LevelGram.of_tensors(tensors)


def _checksum(tensors: dict[str, np.ndarray]) -> str:
    """Hash names, types, shapes and bytes."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        state.update(f"{name} {value.dtype} {value.shape}".encode())
        state.update(value.data)
    return state.hexdigest()


def _write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors = {name: np.ascontiguousarray(v) for name, v in tensors.items()}
    data = save(tensors, metadata={"checksum": _checksum(tensors)})
    with staged(path, sync=False) as part:
        part.write_bytes(data)


def _check(path: Path) -> None:
    """Compare a file with its checksum."""
    try:
        with safe_open(path, "np") as handle:
            tensors = {name: handle.get_tensor(name) for name in list(handle.keys())}
            right = (handle.metadata() or {}).get("checksum") == _checksum(tensors)
    except FileNotFoundError:
        raise InputError(
            f"{path}: gone while the run needs it; run the same command again"
        ) from None
    except (SafetensorError, OSError, ValueError):
        right = False
    if not right:
        raise InputError(
            f"{path}: damaged shard (checksum); delete this file and run the same"
            " command again: only its draws are computed anew"
        )
