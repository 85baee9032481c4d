"""The list of clips that could not be scored: ``scores.quarantine.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tqd_probe.core.files import staged


def quarantine_path(out: Path) -> Path:
    """Return the file that lists the clips left out.

    Args:
        out: The score table.

    Returns:
        ``scores.quarantine.csv`` beside ``scores.csv``.
    """
    return out.with_suffix(".quarantine.csv")


def write_quarantine(out: Path, left_out: Iterator[tuple[str, str]]) -> int:
    """List the clips left out; with none, an old list is removed.

    Args:
        out: The score table.
        left_out: Video and reason of each clip.

    Returns:
        How many there are.
    """
    path, count = quarantine_path(out), 0
    with staged(path) as part, open(part, "w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(("video", "reason"))
        for entry in left_out:
            table.writerow(entry)
            count += 1
    if not count:
        with suppress(OSError):
            path.unlink()
    return count
