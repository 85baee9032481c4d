"""The gradient store: one shard per draw, two small files per finished level.

A shard holds the gradients, or their sketches, of all versions of one clip under one
noise sample. A level that has all its shards is reduced to a sketch per clip and
version and to products per module group, which is all that statistics need; the shards
are removed. With sketched gradients the Gram matrices are computed from the sketches
when read, so that the store grows with the number of clips and not with its square.

Every file is written atomically and has a checksum. A killed run resumes at the draw
where it stopped and ends with the same bytes: statistics are always computed from what
was read back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import read_json, write_json
from tqd_probe.core.tensor_files import Tensors, read_tensors, write_tensors
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.level_sketch import LevelSketch
from tqd_probe.gradients.shards import Shards, gram_of, reduce_shards
from tqd_probe.gradients.sketch import Sketch


class GradientStore:
    """Shards, sketches and Gram matrices of one run."""

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        lock: IO[str] | None = None,
        clean: bool = True,
    ) -> None:
        """Open or create a store.

        Args:
            folder: The run's ``gradients/`` folder.
            fingerprint: Hash of everything that shapes the gradients.
            lock: Open lock file of the run, closed by `release`.
            clean: Remove what a killed run left half-written; only while no other
                process writes.

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
        if clean:
            for part in folder.rglob(".*.part"):  # left by a killed run
                part.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes work in the run directory."""
        if self._lock is not None:
            self._lock.close()

    @staticmethod
    def matches(folder: Path, fingerprint: str) -> bool:
        """Return whether a folder holds gradients of this configuration.

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

    def record(
        self, name: str, fields: tuple[str, ...], make: Callable[[], dict[str, int]]
    ) -> dict[str, int]:
        """Return a small record of positive counts, made once.

        Args:
            name: Name of the record.
            fields: What it holds.
            make: Makes it, when the store does not have it yet.

        Returns:
            The record.

        Raises:
            InputError: If the stored record is damaged.
        """
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_json(path, make())
        value = read_json(path, "a record of the run")
        good = isinstance(value, dict) and set(value) == set(fields)
        if not good or not all(isinstance(n, int) and n > 0 for n in value.values()):
            raise InputError(
                f"{path}: not a record of counts; delete this file and run the same"
                " command again"
            )
        return value

    def count_draws(self, level: int, paired: int) -> tuple[int, int]:
        """Count the stored draws of a level that is not finished.

        Args:
            level: Index of the level.
            paired: Number of paired clips.

        Returns:
            Shards of paired clips, and of unpaired ones.
        """
        folder = self.folder / f"level-{level:02d}"
        clips = [int(path.name.split("-")[1]) for path in folder.glob("clip-*")]
        first = sum(clip < paired for clip in clips)
        return first, len(clips) - first

    def _shard(self, level: int, clip: int, draw: int) -> Path:
        return (
            self.folder
            / f"level-{level:02d}"
            / f"clip-{clip:04d}-draw-{draw:02d}.safetensors"
        )

    def _gram(self, level: int) -> Path:
        return self.folder / f"gram-{level:02d}.safetensors"

    def _sketches(self, level: int) -> Path:
        return self.folder / f"sketch-{level:02d}.safetensors"

    def has_level(self, level: int) -> bool:
        """Return whether a level is finished.

        Args:
            level: Index of the level.

        Returns:
            True if its products and sketches are stored.
        """
        return self._gram(level).exists() and self._sketches(level).exists()

    def has_draw(self, level: int, clip: int, draw: int) -> bool:
        """Return whether a draw's gradients are stored.

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
        norms: np.ndarray | None = None,
    ) -> None:
        """Store the gradients of all versions of one clip under one noise sample.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.
            gradients: float32 ``[versions, size]``, full or sketched.
            losses: float32 ``[versions]``.
            norms: Exact squared norms ``[versions, groups]``, NaN where unknown;
                only of sketched gradients.
        """
        content = {"gradients": gradients, "losses": losses}
        if norms is not None:
            content["norms"] = norms
        label = self._label(level, clip, draw)
        write_tensors(self._shard(level, clip, draw), content, label)

    def _label(self, *where: int) -> str:
        """Label what a file holds, so that no file is taken for another."""
        return f"{self.fingerprint} {where}"

    def _read(self, path: Path, *where: int) -> Tensors:
        """Read a file back; raise `InputError` if it is missing or damaged."""
        if not path.exists():
            raise InputError(
                f"{path}: was removed during the run; run the same command again"
            )
        tensors = read_tensors(path, self._label(*where))
        if tensors is None:
            raise InputError(
                f"{path}: damaged shard (checksum); delete this file and run the same"
                " command again: only its draws are computed again"
            )
        return tensors

    def finish_level(
        self,
        level: int,
        clips: int,
        draws: int,
        layout: Layout,
        sketch: Sketch,
        others: range = range(0),
    ) -> LevelGram:
        """Reduce a level's shards, store what they are reduced to, drop the shards.

        Args:
            level: Index of the level.
            clips: Number of paired clips, from the first.
            draws: Noise samples per clip, from the first.
            layout: The parameters of full gradients.
            sketch: The sketch the shards have, or get now.
            others: Indices of unpaired clips.

        Returns:
            The level's Gram matrices, as read back from the files.

        Raises:
            InputError: If a shard is damaged; names it and the cure.
        """
        shards = self._shards(level, clips, draws, others)
        sketches, products = reduce_shards(shards, layout, sketch)
        label = self._label(level)
        write_tensors(self._sketches(level), sketches.tensors(), label)
        write_tensors(self._gram(level), products, label)  # last: the level is done
        shutil.rmtree(self.folder / f"level-{level:02d}")
        return self.level(level)

    def unfinished_level(
        self,
        level: int,
        clips: int,
        draws: int,
        layout: Layout,
        sketch: Sketch,
        others: range = range(0),
    ) -> LevelGram:
        """Compute the Gram matrices of a level that is not finished.

        Args:
            level: Index of the level.
            clips: Number of paired clips, from the first.
            draws: Noise samples per clip, from the first; all must be stored.
            layout: The parameters of full gradients.
            sketch: The sketch.
            others: Indices of unpaired clips.

        Returns:
            The matrices of these draws alone.

        Raises:
            InputError: If a shard is damaged; names it and the cure.
        """
        shards = self._shards(level, clips, draws, others)
        return gram_of(*reduce_shards(shards, layout, sketch))

    def _shards(self, level: int, clips: int, draws: int, others: range) -> Shards:
        """Return a level's shards: those of paired clips, then of unpaired ones."""
        return Shards(
            [
                [self._shard(level, clip, draw) for draw in range(draws)]
                for clip in (*range(clips), *others)
            ],
            clips,
            lambda row, draw, path: self._read(
                path, level, row if row < clips else others[row - clips], draw
            ),
        )

    def level(self, level: int) -> LevelGram:
        """Read the Gram matrices of a finished level.

        Args:
            level: Index of the level.

        Returns:
            The level's Gram matrices.

        Raises:
            InputError: If the file is damaged; names it and the cure.
        """
        return gram_of(self.sketches(level), self._read(self._gram(level), level))

    def sketches(self, level: int) -> LevelSketch:
        """Read the sketches of a finished level, for products across levels.

        Args:
            level: Index of the level.

        Returns:
            Sketches of the per-clip gradients, also where full gradients are kept;
            those of all levels share one random map (`LevelSketch.products`,
            `LevelSketch.pair_means`).

        Raises:
            InputError: If the file is damaged; names it and the cure.
        """
        return LevelSketch.of_tensors(self._read(self._sketches(level), level))
