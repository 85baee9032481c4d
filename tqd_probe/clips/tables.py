"""Tables of clips as plain cells: CSV, JSON (a list of objects) and JSONL."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from tqd_probe.errors import InputError

Rows = list[tuple[str, dict[str, Any]]]


def read_table(path: Path) -> tuple[list[str], Rows]:
    """Read a table without judging its contents.

    Args:
        path: A .csv, .json or .jsonl file.

    Returns:
        The column names in order of appearance, and the rows: each its place in the
        file (``"line 3"``, ``"item 3"``) and its cells by column. Cells of a CSV are
        stripped text.

    Raises:
        InputError: If the file is missing, unreadable, malformed or without rows.
    """
    readers = {".csv": _csv, ".json": _json, ".jsonl": _jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: suffix {path.suffix!r} is not a manifest's; use one of"
            f" {', '.join(readers)}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as text ({error}); write it as UTF-8"
        ) from error
    rows = reader(path, text)
    if not rows:
        raise InputError(f"{path}: holds no rows; add one per clip")
    columns = list(dict.fromkeys(name for _, cells in rows for name in cells))
    return columns, rows


def _csv(path: Path, text: str) -> Rows:
    """Return the rows of CSV text; its first line names the columns.

    Raises:
        InputError: If the text is malformed.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: Rows = []
    try:
        for cells in reader:
            place = f"line {reader.line_num}"
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                twice = {name for name in header if header.count(name) > 1}
                if twice:
                    raise InputError(
                        f"{path}: {place}: column {min(twice)!r} appears twice; rename"
                        " one"
                    )
            elif len(cells) != len(header):
                raise InputError(
                    f"{path}: {place}: {len(cells)} cells under {len(header)} columns;"
                    " quote cells that hold commas"
                )
            else:
                rows.append((place, dict(zip(header, cells))))
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num}: is not CSV ({error}); mend the quotes"
        ) from error
    return rows


def _json(path: Path, text: str) -> Rows:
    """Return the rows of a JSON list.

    Raises:
        InputError: If the text is malformed.
    """
    try:
        items = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}: is not JSON ({error.msg}); write a list of"
            " objects"
        ) from error
    if not isinstance(items, list):
        raise InputError(
            f"{path}: is not a list; write [{{...}}, ...] or use a .jsonl file"
        )
    return [
        (f"item {n}", _object(path, f"item {n}", x)) for n, x in enumerate(items, 1)
    ]


def _jsonl(path: Path, text: str) -> Rows:
    """Return the rows of JSONL text, one object per line.

    Raises:
        InputError: If a line is malformed.
    """
    rows: Rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"line {number}"
            try:
                item = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{path}: {place}: is not JSON ({error.msg}); write one object per"
                    " line"
                ) from error
            rows.append((place, _object(path, place, item)))
    return rows


def _object(path: Path, place: str, item: Any) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        InputError: If the value is something else.
    """
    if not isinstance(item, dict):
        raise InputError(
            f"{path}: {place}: is not an object; write {{...}} with one key per column"
        )
    return item
