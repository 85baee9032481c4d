"""Rows of JSON text, one at a time: a list of objects, or one object per line (JSONL).

Why not ijson: it refuses NaN, which Python's `json` writes and which does no harm in a
column that is not read; it refuses whole numbers above 64 bits, or gives `Decimal` for
every float; its errors name no line; and it is no faster (100,000 rows in 1.8 s, here
in 1.7 s).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json

CHUNK = 1 << 16  # characters read at a time
LONGEST_TOKEN = 64  # characters: numbers, names and escapes are shorter


def read_list(path: Path, handle: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON list; memory for one object and a chunk is enough.

    Args:
        path: The file, for messages.
        handle: Its text.

    Yields:
        Place (``"item 3"``) and object.

    Raises:
        InputError: If the text is not a list of objects; names the line or the item.
    """
    text = _TextBuffer(path, handle)
    first = text.next_character()
    if not first:
        return
    if first != "[":
        raise InputError(
            f"{path}: is not a list; write [{{...}}, ...] or use a .jsonl file"
        )
    text.skip(1)
    number = 0
    closed = text.next_character() == "]"
    while not closed:
        number += 1
        first = text.next_character()
        if first and first != "{":
            raise InputError(
                f"{path}: item {number}: is not an object; write {{...}} with one key"
                " per column"
            )
        yield f"item {number}", text.take_object()
        after = text.next_character()
        if after not in ("]", ","):
            raise text.fault("expecting ',' or ']'")
        closed = after == "]"
        if not closed:
            text.skip(1)
            if text.next_character() == "]":
                raise text.fault("a comma before the end")
    text.skip(1)
    if text.next_character():
        raise text.fault("more text after the list")


def read_lines(path: Path, handle: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of JSONL text; empty lines are skipped.

    Args:
        path: The file, for messages.
        handle: Its text.

    Yields:
        Place (``"line 3"``) and object.

    Raises:
        InputError: If a line is not an object.
    """
    for number, line in enumerate(handle, 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}: line {number}: is not JSON ({_reason(error)}); write one"
                " object per line"
            ) from error
        if not isinstance(item, dict):
            raise InputError(
                f"{path}: line {number}: is not an object; write {{...}} with one key"
                " per column"
            )
        yield f"line {number}", item


def read_object(path: Path) -> dict[str, Any]:
    """Return the one object of a JSON file.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        InputError: If the file holds something else.
    """
    value = read_json(path, "an object with one key per column", allow_nan=True)
    if not isinstance(value, dict):
        raise InputError(f"{path}: is not an object; write {{...}}")
    return value


def _reason(error: Exception) -> str:
    """Return what the JSON decoder found wrong."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    return getattr(error, "msg", None) or "a number has too many digits"


class _TextBuffer:
    """The text of a file from the current position on, read as needed.

    Attributes:
        line: Line number of the current position, from 1.
    """

    def __init__(self, path: Path, handle: TextIO) -> None:
        """Start at the beginning of a text."""
        self.line = 1
        self._path, self._handle = path, handle
        self._text = ""
        self._decoder = json.JSONDecoder()

    def fault(self, reason: str, line: int = 1) -> InputError:
        """Return the error for text that is not JSON, `line` lines into the buffer."""
        return InputError(
            f"{self._path}: line {self.line + line - 1}: is not JSON ({reason}); write"
            " a list of objects"
        )

    def skip(self, count: int) -> None:
        """Move on by some characters."""
        self.line += self._text.count("\n", 0, count)
        self._text = self._text[count:]

    def next_character(self) -> str:
        """Move to the next character that is not blank; return it, "" at the end."""
        while True:
            rest = self._text.lstrip(" \t\r\n")
            self.skip(len(self._text) - len(rest))
            if self._text or not self._read_more(CHUNK):
                return self._text[:1]

    def take_object(self) -> dict[str, Any]:
        """Return the object at the current position and move behind it."""
        while True:
            try:
                # An object ends with its brace: a part of one never parses.
                item, end = self._decoder.raw_decode(self._text)
            except (ValueError, RecursionError) as error:
                # Double the text, so that a large object is not parsed once per chunk.
                size = max(CHUNK, len(self._text))
                if self._may_be_incomplete(error) and self._read_more(size):
                    continue
                raise self.fault(_reason(error), getattr(error, "lineno", 1)) from error
            self.skip(end)
            return dict(item)

    def _may_be_incomplete(self, error: Exception) -> bool:
        """Return whether an object may parse once more text is read."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        near_end = error.pos >= len(self._text) - LONGEST_TOKEN
        return near_end or error.msg.startswith("Unterminated string")

    def _read_more(self, count: int) -> bool:
        """Read more text; say whether there was any."""
        chunk = self._handle.read(count)
        self._text += chunk
        return bool(chunk)
