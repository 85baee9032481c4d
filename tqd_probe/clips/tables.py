"""Read tables as rows of cells: CSV or TSV, JSON (a list), JSONL, Parquet.

Rows are read one by one, so a table of any size fits: one row is in memory, or one
batch of rows of a Parquet file. A folder of JSON files is a table of one row per file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqd_probe.clips import json_rows
from tqd_probe.clips.csv_rows import read_csv
from tqd_probe.core.errors import InputError
from tqd_probe.core.text_files import open_text

Row = tuple[str, dict[str, Any]]
Rows = list[Row]
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
PARQUET_ROWS = 4096  # rows decoded at a time


def iterate_table(path: Path) -> Iterator[Row]:
    """Read a table row by row; cells are not checked.

    Args:
        path: A .csv, .tsv, .json, .jsonl or .parquet file, or a folder of .json files
            with one object each.

    Yields:
        Rows: each its place in the file (``"line 3"``, ``"item 3"``) and its cells by
        column. Cells of a CSV are stripped text.

    Raises:
        InputError: If the file is missing, unreadable or malformed; raised when the
            reader reaches the fault.
    """
    if path.is_dir():
        yield from _folder(path)
        return
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path}: suffix {path.suffix!r} is not known for tables; use one of"
            f" {', '.join(SUFFIXES)}"
        )
    if not path.exists():
        raise InputError(f"{path}: no such file; correct the path")
    if suffix == ".parquet":
        yield from _parquet(path)
        return
    reader = {
        ".csv": read_csv,
        ".tsv": read_csv,
        ".json": json_rows.read_list,
        ".jsonl": json_rows.read_lines,
    }[suffix]
    try:
        with open_text(path, newline="") as handle:
            yield from reader(path, handle)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from error


def read_table(path: Path) -> tuple[list[str], Rows]:
    """Read a whole table; cells are not checked.

    Args:
        path: As for `iterate_table`.

    Returns:
        The column names in order of appearance, and the rows.

    Raises:
        InputError: If the file is missing, unreadable, malformed or without rows.
    """
    rows = list(iterate_table(path))
    if not rows:
        raise InputError(f"{path}: holds no rows; add one per clip")
    columns = list(dict.fromkeys(name for _, cells in rows for name in cells))
    return columns, rows


def read_columns(path: Path, rows: int = 64) -> list[str]:
    """Return the column names of a table, from its first rows.

    Args:
        path: As for `iterate_table`.
        rows: Rows to read: objects need not all have the same keys.

    Returns:
        The names in order of appearance.

    Raises:
        InputError: If the file is missing, unreadable, malformed or without rows.
    """
    names: dict[str, None] = {}
    for number, (_, cells) in enumerate(iterate_table(path)):
        names |= dict.fromkeys(cells)
        if number + 1 == rows:
            break
    if not names:
        raise InputError(f"{path}: holds no rows; add one per clip")
    return list(names)


def _parquet(path: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file, a batch in memory at a time.

    Raises:
        InputError: If pyarrow is missing or the file is damaged.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet needs pyarrow; pip install 'tqd_probe[scores]'"
        ) from error
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for cells in batch.to_pylist():
                    number += 1
                    yield f"row {number}", cells
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: is not Parquet or damaged ({reason}); write it again"
        ) from error


def _folder(folder: Path) -> Iterator[Row]:
    """Yield one row per .json file of a folder, by name.

    Raises:
        InputError: If there are none, or one is not an object.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"{folder}: holds no .json files; give a table's path")
    for path in paths:
        yield path.name, json_rows.read_object(path)
