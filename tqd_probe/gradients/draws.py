"""Draws of levels that are not finished: held in memory, written when they must be.

A level that is done within a minute never writes its single draws. One that takes
longer writes those held so far once a minute, as a shard per draw, so that a killed run
loses no more; so does one whose draws do not fit into memory. Whole gradients of a
small network are computed as fast as they are read back: draws that come faster than
`WRITE_RATE` wait longer. What is computed from draws does not depend
on where they are: memory and shards hold the same float32 numbers.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from tqd_probe.core.errors import InputError
from tqd_probe.core.tensor_files import Tensors, read_tensors, write_tensors

WRITE_AFTER = 60.0  # seconds of work that a killed run may lose
WRITE_RATE = 10e6  # bytes a second: faster ones are cheaper to compute again
Key = tuple[int, int, int]  # level, clip, draw


class Draws:
    """The draws of unfinished levels, in memory and in ``level-XX/``.

    Attributes:
        limit: Bytes that may be held in memory.
        written: Bytes written to shards, those of other processes included once their
            level is finished.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Hold no draws yet.

        Args:
            folder: The run's ``gradients/`` folder.
            fingerprint: Hash of everything that shapes the gradients.
        """
        self.folder, self.fingerprint = folder, fingerprint
        self.limit = float("inf")
        self.written = 0
        self._held: dict[Key, Tensors] = {}
        self._own: set[Path] = set()
        self._unwritten: dict[Key, float] = {}  # when they were put here
        self._reduced: set[int] = set()  # levels that are being reduced
        self._lock = threading.Lock()  # levels are reduced in a thread of their own

    @property
    def held_bytes(self) -> int:
        """Bytes of the draws in memory."""
        with self._lock:
            return sum(map(_bytes, self._held.values()))

    def path(self, level: int, clip: int, draw: int) -> Path:
        """Return the shard of a draw.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.

        Returns:
            Its file, whether it is there or not.
        """
        name = f"clip-{clip:04d}-draw-{draw:02d}.safetensors"
        return self._level(level) / name

    def _level(self, level: int) -> Path:
        return self.folder / f"level-{level:02d}"

    def has(self, level: int, clip: int, draw: int) -> bool:
        """Return whether a draw is here.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.

        Returns:
            True if it is in memory or has a shard.
        """
        key = level, clip, draw
        return key in self._held or self.path(*key).exists()

    def count(self, level: int, paired: int) -> tuple[int, int]:
        """Count the draws of a level.

        Args:
            level: Index of the level.
            paired: Number of paired clips.

        Returns:
            Draws of paired clips, and of unpaired ones.
        """
        shards = self._level(level).glob("clip-*")
        names = [path.name.removesuffix(".safetensors").split("-") for path in shards]
        found = {(int(name[1]), int(name[3])) for name in names}
        with self._lock:
            found |= {(key[1], key[2]) for key in self._held if key[0] == level}
        first = sum(clip < paired for clip, _ in found)
        return first, len(found) - first

    def put(self, level: int, clip: int, draw: int, tensors: Tensors) -> None:
        """Hold a draw; write those held if it is time, or if they are too many.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.
            tensors: What is stored of it; copied.
        """
        own = {name: np.array(value) for name, value in tensors.items()}
        key, now = (level, clip, draw), time.monotonic()
        with self._lock:
            self._held[key], self._unwritten[key] = own, now
            keys = [k for k in self._unwritten if self._is_open(k)]
            oldest = self._unwritten[keys[0]] if keys else now  # they are in order
            waiting = sum(_bytes(self._held[k]) for k in keys)
        if self.held_bytes > self.limit:
            self.write(release=True)
        elif now - oldest >= max(WRITE_AFTER, waiting / WRITE_RATE):
            self.write()

    def reduce(self, level: int) -> None:
        """Say that a level has all its draws and is reduced now: soon none is needed.

        Args:
            level: Index of the level.
        """
        self._reduced.add(level)

    def _is_open(self, key: Key) -> bool:
        return key[0] not in self._reduced

    def write(self, release: bool = False, reduced: bool = False) -> None:
        """Write a shard of every draw that has none yet.

        Args:
            release: Then hold none of these in memory.
            reduced: Also of levels that are being reduced.
        """
        with self._lock:
            waiting = [k for k in self._unwritten if reduced or self._is_open(k)]
        for key in waiting:
            path = self.path(*key)
            write_tensors(path, self._held[key], self.label(*key))
            self.written += path.stat().st_size
            self._own.add(path)
            with self._lock:
                self._unwritten.pop(key, None)
        if release:
            with self._lock:
                for key in [key for key in self._held if self._is_open(key)]:
                    del self._held[key]

    def label(self, *where: int) -> str:
        """Label what a file holds, so that no file is taken for another.

        Args:
            *where: Level, and clip and draw of a shard.

        Returns:
            The label.
        """
        return f"{self.fingerprint} {where}"

    def held(self, level: int, clip: int, draw: int) -> Tensors | None:
        """Return a draw that is in memory.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.

        Returns:
            Its arrays; None if it is not in memory.
        """
        return self._held.get((level, clip, draw))

    def read(self, level: int, clip: int, draw: int) -> Tensors:
        """Return a draw.

        Args:
            level: Index of the level.
            clip: Index of the clip.
            draw: Index of the noise sample.

        Returns:
            Its arrays.

        Raises:
            InputError: If its shard is missing or damaged; names it and the cure.
        """
        key = level, clip, draw
        return self.held(*key) or read_checked(self.path(*key), self.label(*key))

    def drop(self, level: int) -> None:
        """Forget the draws of a finished level.

        Args:
            level: Index of the level.
        """
        with self._lock:
            for key in [key for key in self._held if key[0] == level]:
                del self._held[key]
                self._unwritten.pop(key, None)
        folder = self._level(level)
        if folder.exists():
            others = [path for path in folder.glob("clip-*") if path not in self._own]
            self.written += sum(path.stat().st_size for path in others)
            shutil.rmtree(folder)


@dataclass(frozen=True)
class LevelDraws:
    """The draws of one level that are reduced together.

    Attributes:
        store: Where they are.
        level: Index of the level.
        paired: Number of paired clips, from the first.
        samples: Noise samples per clip, from the first.
        others: Indices of unpaired clips.
    """

    store: Draws
    level: int
    paired: int
    samples: int
    others: range = range(0)

    @property
    def clips(self) -> list[int]:
        """Indices of the clips: paired ones, then unpaired ones."""
        return [*range(self.paired), *self.others]

    def __iter__(self) -> Iterator[list[Tensors]]:
        """Go through the clips.

        Yields:
            The draws of a clip.
        """
        for clip in self.clips:
            yield [self.store.read(self.level, clip, n) for n in range(self.samples)]

    def columns(self) -> ColumnReader:
        """Return a reader of whole gradients, a block of columns at a time.

        Returns:
            The reader.
        """
        return ColumnReader(self)


class ColumnReader:
    """Reads columns of whole gradients from memory, or from shards already checked."""

    def __init__(self, draws: LevelDraws) -> None:
        """Open the shards of draws that are not in memory.

        Args:
            draws: The draws of a level.
        """
        self._rows = [
            [self._gradients(draws, clip, sample) for sample in range(draws.samples)]
            for clip in draws.clips
        ]
        self._paired = draws.paired

    def _gradients(self, draws: LevelDraws, clip: int, sample: int) -> np.ndarray:
        """Return gradients ``[versions, size]`` that can be sliced."""
        held = draws.store.held(draws.level, clip, sample)
        if held is not None:
            return held["gradients"]
        handle = safe_open(draws.store.path(draws.level, clip, sample), "np")
        return handle.get_slice("gradients")

    def paired(self, start: int, stop: int) -> np.ndarray:
        """Read paired clips.

        Args:
            start: First column.
            stop: End of the columns.

        Returns:
            ``[versions, clips, samples, stop - start]``, in the type that is stored.
        """
        rows = self._rows[: self._paired]
        first, samples = rows[0][0][:, :1], len(rows[0])
        shape = len(rows), len(first), samples, stop - start
        # Clips outermost in memory: `gram_from_columns` goes through them one by one.
        found = np.empty(shape, first.dtype)
        for clip, sample in np.ndindex(len(rows), samples):
            found[clip, :, sample] = rows[clip][sample][:, start:stop]
        return found.swapaxes(0, 1)

    def unpaired(self, start: int, stop: int) -> np.ndarray:
        """Read unpaired clips.

        Args:
            start: First column.
            stop: End of the columns.

        Returns:
            ``[unpaired, samples, stop - start]``, in the type that is stored.
        """
        rows = self._rows[self._paired :]
        if not rows:
            return np.empty((0, 1, stop - start), np.float32)
        return np.array([[part[0, start:stop] for part in row] for row in rows])


def _bytes(tensors: Tensors) -> int:
    """Return the bytes of a draw."""
    return sum(value.nbytes for value in tensors.values())


def read_checked(path: Path, label: str) -> Tensors:
    """Read a file of the store.

    Args:
        path: The file.
        label: What it must hold.

    Returns:
        Its arrays.

    Raises:
        InputError: If it is missing or damaged; names it and the cure.
    """
    if not path.exists():
        raise InputError(
            f"{path}: was removed during the run; run the same command again"
        )
    tensors = read_tensors(path, label)
    if tensors is None:
        raise InputError(
            f"{path}: damaged (checksum); delete this file and run the same command"
            " again: what it held is computed again"
        )
    return tensors
