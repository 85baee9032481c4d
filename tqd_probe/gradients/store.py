"""The gradient store: draws of unfinished levels, and what finished ones leave.

A draw holds the gradients, or their sketches, of all versions of one clip under one
noise sample (`draws.py`). A level that has all its draws is reduced to products per
module group and to one vector per clip and class, for products with other levels. When
the last level is done these become the run's moments, and the vectors are removed.

With sketched gradients a level keeps its sketches and its products are computed when
read; a finished run replaces them by their products where these are smaller: sketches
grow with the number of clips, products with its square.

Every file is written atomically and has a checksum. A killed run resumes where its
files end and ends with the same bytes, where kernels are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import DELETE, read_json, write_json
from tqd_probe.core.tensor_files import Tensors, write_tensors
from tqd_probe.gradients.class_vectors import ClassVectors
from tqd_probe.gradients.draws import Draws, LevelDraws, read_checked
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.level_sketch import LevelSketch
from tqd_probe.gradients.reduce_level import (
    Reduction,
    reduce_sketched,
    whole_products,
    whole_vectors,
)
from tqd_probe.gradients.sketched_gram import sketched_gram


class GradientStore:
    """Draws, Gram matrices, vectors and moments of one run.

    Attributes:
        folder: The run's ``gradients/`` folder.
        fingerprint: Hash of everything that shapes the gradients.
        draws: The draws of unfinished levels.
    """

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
        self.draws = Draws(folder, fingerprint)
        self._written = 0
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
        known = read_json(note, "the store's fingerprint", cure=DELETE)
        if not isinstance(known, dict) or "fingerprint" not in known:
            raise InputError(f"{note}: fingerprint: missing; {DELETE}")
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
        value = read_json(note, "the covered share", cure=DELETE)
        share = value.get("covered_share") if isinstance(value, dict) else None
        if not isinstance(share, float) or not -1e9 < share <= 1 + 1e-6:
            raise InputError(f"{note}: covered_share: not a share; {DELETE}")
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
        value = read_json(path, "a record of the run", cure=DELETE)
        good = isinstance(value, dict) and set(value) == set(fields)
        if not good or not all(isinstance(n, int) and n > 0 for n in value.values()):
            raise InputError(f"{path}: not a record of counts; {DELETE}")
        return value

    def _path(self, kind: str, level: int) -> Path:
        """Return the file of a level: its ``gram``, ``sketch`` or ``vectors``."""
        return self.folder / f"{kind}-{level:02d}.safetensors"

    @property
    def _moments(self) -> Path:
        return self.folder / "moments.safetensors"

    def _write(self, path: Path, tensors: Tensors, *where: int) -> None:
        write_tensors(path, tensors, self.draws.label(*where))
        self._written += path.stat().st_size

    def _read(self, path: Path, *where: int) -> Tensors:
        """Read a file back; raise `InputError` if it is missing or damaged."""
        return read_checked(path, self.draws.label(*where))

    def sizes(self) -> tuple[int, int]:
        """Tell what the store did write, in this call of the command, and what it has.

        Returns:
            Bytes written, and bytes of its files now.
        """
        kept = sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file())
        return self._written + self.draws.written, kept

    def has_level(self, level: int) -> bool:
        """Return whether a level is finished.

        Args:
            level: Index of the level.

        Returns:
            True if all that is needed of it is stored.
        """
        across = (self._path(kind, level) for kind in ("vectors", "sketch"))
        known = self.has_moments() or any(path.exists() for path in across)
        return known and self._path("gram", level).exists()

    def put_draw(
        self,
        level: int,
        clip: int,
        draw: int,
        gradients: np.ndarray,
        losses: np.ndarray,
        norms: np.ndarray | None = None,
    ) -> None:
        """Keep the gradients of all versions of one clip under one noise sample.

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
        self.draws.put(level, clip, draw, content)

    def finish_level(self, draws: LevelDraws, reduction: Reduction) -> None:
        """Reduce a level's draws, store what they are reduced to, drop the draws.

        Args:
            draws: The draws of a level.
            reduction: How they are reduced.

        Raises:
            InputError: If a shard is damaged; names it and the cure.
        """
        level = draws.level
        self.draws.reduce(level)
        if self._is_sketched(draws):
            sketches, products = reduce_sketched(draws, reduction)
            self._write(self._path("sketch", level), sketches.tensors(), level)
        else:
            products = whole_products(draws, reduction.layout).tensors()
            vectors = whole_vectors(draws, reduction).tensors()
            self._write(self._path("vectors", level), vectors, level)
        self._write(self._path("gram", level), products, level)  # last: it is done
        self.draws.drop(level)

    def unfinished_level(self, draws: LevelDraws, reduction: Reduction) -> LevelGram:
        """Compute the Gram matrices of a level that is not finished.

        Args:
            draws: Some of its draws; all must be here.
            reduction: How they are reduced.

        Returns:
            The matrices of these draws alone.

        Raises:
            InputError: If a shard is damaged; names it and the cure.
        """
        if not self._is_sketched(draws):
            return whole_products(draws, reduction.layout)
        sketches, products = reduce_sketched(draws, reduction)
        return sketched_gram(sketches, **products)

    def _is_sketched(self, draws: LevelDraws) -> bool:
        return "norms" in self.draws.read(draws.level, 0, 0)

    def level(self, level: int) -> LevelGram:
        """Read the Gram matrices of a finished level.

        Args:
            level: Index of the level.

        Returns:
            The level's Gram matrices.

        Raises:
            InputError: If the file is damaged; names it and the cure.
        """
        products = self._read(self._path("gram", level), level)
        if "products" in products:
            return LevelGram.of_tensors(products)
        return sketched_gram(self.sketches(level), **products)

    def sketches(self, level: int) -> LevelSketch:
        """Read the sketches of a finished level of sketched gradients.

        Args:
            level: Index of the level.

        Returns:
            Sketches of the per-clip gradients.

        Raises:
            InputError: If the file is damaged; names it and the cure.
        """
        return LevelSketch.of_tensors(self._read(self._path("sketch", level), level))

    def vectors(self, level: int, reduction: Reduction) -> ClassVectors:
        """Read what products with other levels are taken between.

        Args:
            level: Index of a finished level, of a run without moments yet.
            reduction: How levels are reduced.

        Returns:
            One vector per clip and class.

        Raises:
            InputError: If the file is damaged; names it and the cure.
        """
        path = self._path("vectors", level)
        if path.exists():
            return ClassVectors.of_tensors(self._read(path, level))
        return ClassVectors.of_sketch(self.sketches(level), reduction.classes)

    def has_moments(self) -> bool:
        """Return whether products between levels are computed.

        Returns:
            True if they are stored.
        """
        return self._moments.exists()

    def moments(self) -> Tensors:
        """Read the products between levels.

        Returns:
            What `put_moments` was given.

        Raises:
            InputError: If the file is damaged; names it and the cure.
        """
        return self._read(self._moments)

    def put_moments(self, moments: Tensors) -> None:
        """Store the products between levels; all levels must be finished.

        Args:
            moments: The products, as arrays by name.
        """
        self._write(self._moments, moments)

    def condense(self, levels: int) -> None:
        """Remove what a run with moments needs no more.

        Args:
            levels: Number of levels.

        Raises:
            InputError: If a file is damaged; names it and the cure.
        """
        for level in range(levels):
            self._path("vectors", level).unlink(missing_ok=True)
            sketch = self._path("sketch", level)
            if not sketch.exists():
                continue
            products = self.level(level).tensors()
            if sum(value.nbytes for value in products.values()) < sketch.stat().st_size:
                self._write(self._path("gram", level), products, level)
                sketch.unlink()
