"""The two score columns of a table of any length, in 24 bytes per clip."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.score_row import ScoreRow


@dataclass
class ScoreColumns:
    """Both scores of all clips, in order.

    Attributes:
        mq: Motion scores; NaN where there is none.
        vq: Visual scores; NaN where there is none.
        names: A 64-bit hash of each clip's name, to find duplicate names.
    """

    mq: array = field(default_factory=lambda: array("d"))
    vq: array = field(default_factory=lambda: array("d"))
    names: array = field(default_factory=lambda: array("Q"))

    def present(self, column: str) -> np.ndarray:
        """Return the scores that are not missing.

        Args:
            column: ``mq`` or ``vq``.

        Returns:
            float64 ``[n]`` without NaN.
        """
        values = np.frombuffer(getattr(self, column), np.float64)
        return values[~np.isnan(values)]


def collect_scores(rows: Iterable[ScoreRow]) -> ScoreColumns:
    """Collect the scores of a stream of clips.

    Args:
        rows: The clips.

    Returns:
        Their scores.
    """
    columns = ScoreColumns()
    for row in rows:
        columns.mq.append(math.nan if row.mq is None else row.mq)
        columns.vq.append(math.nan if row.vq is None else row.vq)
        columns.names.append(_hash(row.video))
    return columns


def refuse_repeated_clips(
    columns: ScoreColumns, again: Callable[[], Iterator[ScoreRow]], where: str
) -> None:
    """Refuse a table in which a clip appears twice.

    Args:
        columns: The scores as collected.
        again: Reads the same rows once more, to name the duplicate.
        where: The file, for the message.

    Raises:
        InputError: If two rows have one name.
    """
    hashes, counts = np.unique(
        np.frombuffer(columns.names, np.uint64), return_counts=True
    )
    suspects = set(hashes[counts > 1].tolist())
    if not suspects:
        return
    seen: dict[str, str] = {}
    for row in again():
        if _hash(row.video) not in suspects:
            continue
        if row.video in seen:
            raise InputError(
                f"{where}: {row.place}: {row.video} is already in {seen[row.video]};"
                " keep one of the two"
            )
        seen[row.video] = row.place


def _hash(name: str) -> int:
    """Return a 64-bit hash of a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
