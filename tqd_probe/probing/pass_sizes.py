"""How many clip versions share a pass at each place of a run, where memory fell short.

Which draws make a micro-batch is fixed for the whole run (`micro_batches`); how many
passes it takes is not. The last digits of a gradient depend on the size of its pass. So
the place from which passes are smaller is recorded, and a resumed run, by however many
processes, takes passes of the same sizes at the same places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import DELETE, read_json, write_json


class Place(NamedTuple):
    """A micro-batch of a run.

    Attributes:
        level: Index of the noise level.
        stage: Index of the stage of the level.
        batch: Index of the micro-batch in its stage.
    """

    level: int
    stage: int
    batch: int


class _Smaller(NamedTuple):
    """Passes of one process are smaller from a place on."""

    place: Place
    size: int
    rank: int
    world: int

    def holds_at(self, place: Place) -> bool:
        """Return whether a micro-batch was of that process, and not before."""
        return place >= self.place and place.batch % self.world == self.rank


class PassSizes:
    """Sizes of the passes of a run; a process writes ``memory-RANK.json``."""

    def __init__(self, folder: Path, size: int, rank: int = 0, world: int = 1) -> None:
        """Read what was recorded by all processes so far.

        Args:
            folder: The run's ``gradients/`` folder.
            size: Versions in a pass while memory is enough.
            rank: Rank of this process.
            world: Number of processes.

        Raises:
            InputError: If a record is damaged.
        """
        self._path, self._size = folder / f"memory-{rank}.json", size
        self._rank, self._world = rank, world
        self._others: list[_Smaller] = []
        self._own: list[_Smaller] = []
        for path in sorted(folder.glob("memory-*.json")):
            found = self._own if path == self._path else self._others
            found += _read(path)

    def at(self, place: Place) -> int:
        """Return the largest size of the passes of a micro-batch.

        Args:
            place: The micro-batch.

        Returns:
            Clip versions.
        """
        known = [*self._own, *self._others]
        return min([self._size, *(e.size for e in known if e.holds_at(place))])

    def shrink(self, place: Place, size: int) -> None:
        """Record that passes of this process are smaller from a micro-batch on.

        Args:
            place: The micro-batch.
            size: Clip versions.
        """
        self._own.append(_Smaller(place, size, self._rank, self._world))
        rows = [[*e.place, e.size, e.rank, e.world] for e in self._own]
        write_json(self._path, {"smaller": rows})


def _read(path: Path) -> list[_Smaller]:
    """Read the record of one process."""
    value = read_json(path, "the sizes of passes", cure=DELETE)
    rows = value.get("smaller") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise InputError(f"{path}: not a record of sizes of passes; {DELETE}")
    return [_Smaller(Place(*row[:3]), *row[3:]) for row in rows]


def _is_row(row: Any) -> bool:
    """Return whether a row is level, stage, batch, size, rank, world."""
    if not isinstance(row, list) or len(row) != 6:
        return False
    if not all(isinstance(number, int) and number >= 0 for number in row):
        return False
    size, rank, world = row[3:]
    return bool(size > 0 and rank < world)
