"""JSONL logs with a ``step`` per row, which a resumed run continues."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import CURE, staged


class JsonlWriter:
    """Appends rows to a JSONL file; every row has a ``step``."""

    def __init__(self, path: Path) -> None:
        """Set the file; it is opened when the first row is written.

        Args:
            path: The file.
        """
        self.path = path
        self._handle: Any = None

    def drop_after(self, step: int) -> None:
        """Drop rows after a step, and a last line that was only partly written.

        Args:
            step: Last step to keep.
        """
        self.close()
        if not self.path.exists():
            return
        kept = [row for row in read_jsonl(self.path) if row["step"] <= step]
        with staged(self.path) as part:
            part.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def write(self, row: dict[str, Any]) -> None:
        """Append a row.

        Args:
            row: JSON values; ``step`` is the step after which it is written.

        Raises:
            InputError: If the file cannot be written.
        """
        try:
            if self._handle is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = open(self.path, "a", encoding="utf-8")  # noqa: SIM115
            self._handle.write(json.dumps(row, allow_nan=False) + "\n")
            self._handle.flush()
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); {CURE}"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            with suppress(OSError):  # what could not be written was said
                self._handle.close()
            self._handle = None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file.

    Args:
        path: The file; may not exist.

    Returns:
        Its rows; lines that are not complete rows are skipped.
    """
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
    return rows
