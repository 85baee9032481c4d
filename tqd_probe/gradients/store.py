"""The gradient store: one shard per draw, one Gram matrix per finished level.

A shard holds the gradients of all versions of one clip under one noise sample. When
a level has all its shards they are reduced to Gram matrices per module group, which
is all that statistics need, and removed. Every file is written whole and carries a
checksum; a killed run resumes at the draw where it stopped and ends with the same
bytes, because statistics are always computed from what was read back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from safetensors import safe_open

from tqd_probe.errors import ConfigurationChanged, InputError
from tqd_probe.files import read_json, write_json
from tqd_probe.gradients.gram import LevelGram, reduce_level
from tqd_probe.tensors import Tensors, read_tensors, write_tensors

BLOCK = 1 << 24  # gradient entries held in memory at once, in float64: 128 MiB


class GradientStore:
    """Shards and Gram matrices of one run."""

    def __init__(
        self, folder: Path, fingerprint: str, lock: IO[str] | None = None
    ) -> None:
        """Open or create a store.

        Args:
            folder: The run's ``gradients/`` folder.
            fingerprint: Hash of everything that shapes the gradients.
            lock: Open lock file of the run, closed by `release`.

        Raises:
            ConfigurationChanged: If the folder holds gradients of another
                configuration.
        """
        self.folder, self.fingerprint, self._lock = folder, fingerprint, lock
        note = folder / "store.json"
        if note.exists():
            if not self.matches(folder, fingerprint):
                raise ConfigurationChanged(
                    f"{folder}: holds gradients of another configuration; use another"
                    " --out, or --overwrite"
                )
        else:
            write_json(note, {"fingerprint": fingerprint})
        for part in folder.rglob(".*.part"):  # left by a killed run
            part.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes work in the run directory."""
        if self._lock is not None:
            self._lock.close()

    @staticmethod
    def matches(folder: Path, fingerprint: str) -> bool:
        """Say whether a folder holds gradients of this configuration.

        Args:
            folder: The run's ``gradients/`` folder.
            fingerprint: Hash of everything that shapes the gradients.

        Returns:
            True if its gradients can be used.

        Raises:
            InputError: If the store's note is damaged.
        """
        note = folder / "store.json"
        if not note.exists():
            return False
        known = read_json(note, "the store's fingerprint")
        if not isinstance(known, dict) or "fingerprint" not in known:
            raise InputError(f"{note}: fingerprint: missing; use --overwrite")
        return bool(known["fingerprint"] == fingerprint)

    def covered_share(self, measure: Callable[[], float]) -> float:
        """Return the covered share of the squared gradient norm, measured once.

        Args:
            measure: Measures it, when the store does not know it yet.

        Returns:
            The share, 1 when nothing is missing.

        Raises:
            InputError: If the stored share is damaged.
        """
        note = self.folder / "coverage.json"
        if not note.exists():
            write_json(note, {"covered_share": measure()})
        value = read_json(note, "the covered share")
        share = value.get("covered_share") if isinstance(value, dict) else None
        if not isinstance(share, float) or not -1e9 < share <= 1 + 1e-6:
            raise InputError(
                f"{note}: covered_share: not a share; delete this file and run the same"
                " command again"
            )
        return share

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
        write_tensors(
            self._shard(level, clip, draw),
            {"gradients": gradients, "losses": losses},
            self._place(level, clip, draw),
        )

    def _place(self, *where: int) -> str:
        """Name what a file holds: it must not be taken for another one."""
        return f"{self.fingerprint} {where}"

    def _read(self, path: Path, *where: int) -> Tensors:
        """Read a file back, or say which is damaged and how to go on."""
        if not path.exists():
            raise InputError(
                f"{path}: gone while the run needs it; run the same command again"
            )
        tensors = read_tensors(path, self._place(*where))
        if tensors is None:
            raise InputError(
                f"{path}: damaged shard (checksum); delete this file and run the same"
                " command again: only its draws are computed anew"
            )
        return tensors

    def finish_level(
        self,
        level: int,
        clips: int,
        draws: int,
        groups: dict[str, tuple[int, int]],
        unpaired: int = 0,
    ) -> LevelGram:
        """Reduce a level's shards to Gram matrices, store these, drop the shards.

        Args:
            level: Index of the level.
            clips: Number of clips.
            draws: Noise samples per clip.
            groups: Start and stop in the flat gradient by module group.
            unpaired: Number of unpaired clips; their indices follow the others'.

        Returns:
            The level's Gram matrices, as read back from the file.

        Raises:
            InputError: If a shard is damaged; names it and how to go on.
        """
        paths = [
            [self._shard(level, clip, draw) for draw in range(draws)]
            for clip in range(clips + unpaired)
        ]
        every = [
            [self._read(path, level, clip, draw)["losses"] for draw, path in pairs]
            for clip, pairs in enumerate(map(enumerate, paths))
        ]
        losses: np.ndarray = np.array(every[:clips])
        handles = [[safe_open(path, "np") for path in row] for row in paths]

        conditions = losses.shape[-1]

        def columns(start: int, stop: int) -> np.ndarray:
            block = np.empty((conditions, clips, draws, stop - start))
            for clip, draw in np.ndindex(clips, draws):
                part = handles[clip][draw].get_slice("gradients")
                block[:, clip, draw] = part[:, start:stop]
            return block

        def others(start: int, stop: int) -> np.ndarray:
            block = np.empty((unpaired, draws, stop - start))
            for clip, draw in np.ndindex(unpaired, draws):
                part = handles[clips + clip][draw].get_slice("gradients")
                block[clip, draw] = part[0, start:stop]
            return block

        width = max(1, BLOCK // (losses.size + unpaired * draws))
        gram = reduce_level(columns, groups, losses, width, others)
        write_tensors(self._gram(level), gram.tensors(), self._place(level))
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
        return LevelGram.of_tensors(self._read(self._gram(level), level))
