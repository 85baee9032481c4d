"""Rows of CSV text, separated by commas, semicolons or tabs.

Spreadsheets write semicolons where the decimal sign is a comma, and tabs into text.
The first line decides: what separates it into most columns. A line ``sep=;`` before it,
which some of them write, decides instead.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from tqd_probe.clips.column_names import TEXT_COLUMNS, column_key
from tqd_probe.core.errors import InputError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
STATED = re.compile(r"sep=(.)\s*", re.IGNORECASE | re.DOTALL)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
csv.field_size_limit(2**26)  # one cell may hold the captions of a whole video


def read_csv(path: Path, handle: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of CSV text; its first line names the columns.

    In text separated by semicolons or tabs a number may have a decimal comma: ``0,35``
    is given as ``0.35``, except in columns of names and captions.

    Args:
        path: The file, for messages.
        handle: Its text, opened with ``newline=""``.

    Yields:
        Place (``"line 3"``) and cells by column, stripped.

    Raises:
        InputError: If the text is malformed or its separator is not clear.
    """
    separator, handle_lines, skipped = _separator(path, handle)
    reader = csv.reader(handle_lines, strict=True, delimiter=separator)
    header: list[str] = []
    numbers: list[bool] = []
    try:
        for cells in reader:
            place = f"line {reader.line_num + skipped}"
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
                numbers = [
                    separator != "," and column_key(name) not in TEXT_COLUMNS
                    for name in header
                ]
            elif len(cells) != len(header):
                raise InputError(
                    f"{path}: {place}: {len(cells)} cells under {len(header)} columns;"
                    f" quote cells that hold {SEPARATORS.get(separator, separator)}"
                )
            else:
                yield (
                    place,
                    {
                        name: _with_point(cell) if is_number else cell
                        for name, cell, is_number in zip(header, cells, numbers)
                    },
                )
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num + skipped}: is not CSV ({error}); correct"
            " the quotes"
        ) from error


def _with_point(cell: str) -> str:
    """Return a number with a decimal point instead of a comma; else the cell."""
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell


def _separator(path: Path, handle: TextIO) -> tuple[str, Iterator[str], int]:
    """Find the separator by the first line that is not empty.

    Returns:
        The separator, the text from that line on, and the lines before it.

    Raises:
        InputError: If two separators make as many columns.
    """
    skipped, first = 0, ""
    for first in handle:
        if first.strip():
            break
        skipped += 1
    stated = STATED.fullmatch(first)
    if stated:
        return stated[1], iter(handle), skipped + 1

    def lines() -> Iterator[str]:
        yield first
        yield from handle

    ways = {mark: _columns(first, mark) for mark in SEPARATORS}
    most = max(ways.values())
    best = [mark for mark, columns in ways.items() if columns == most]
    if most[0] > 1 and len(best) > 1:
        raise InputError(
            f"{path}: line {skipped + 1}: as many {SEPARATORS[best[0]]} as"
            f" {SEPARATORS[best[1]]}; separate columns by one of them"
        )
    return best[0], lines(), skipped


def _columns(line: str, separator: str) -> tuple[int, int]:
    """Count the columns that a separator makes, and known names among them."""
    try:
        (cells,) = csv.reader([line.strip("\r\n")], delimiter=separator)
    except (csv.Error, ValueError):  # no line or several: a quote is left open
        cells = line.split(separator)
    known = [column_key(cell) in TEXT_COLUMNS for cell in cells]
    return len(cells), sum(known)
