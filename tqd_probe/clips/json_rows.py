"""Rows out of JSON text, one at a time: a list of objects, or one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json

CHUNK = 1 << 16  # characters read at a time
LONGEST_TOKEN = 64  # characters: numbers, names and escapes are shorter


def items(path: Path, handle: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON list without holding the list.

    Args:
        path: The file, for messages.
        handle: Its text.

    Yields:
        Place (``"item 3"``) and object.

    Raises:
        InputError: If the text is not a list of objects.
    """
    text = _Buffer(handle)
    first = text.skip_blanks()
    if not first:
        return
    if first != "[":
        raise InputError(
            f"{path}: is not a list; write [{{...}}, ...] or use a .jsonl file"
        )
    text.drop(1)
    number = 0
    while True:
        sign = text.skip_blanks()
        if sign == "]" and not number:
            text.drop(1)
            break
        number += 1
        if sign and sign != "{":
            place = f"item {number}"
            raise InputError(
                f"{path}: {place}: is not an object; write {{...}} with one key per"
                " column"
            )
        yield f"item {number}", text.take_object(path)
        sign = text.skip_blanks()
        if sign not in ("]", ","):
            _refuse(path, text.line, "expecting ',' or ']'")
        text.drop(1)
        if sign == "]":
            break
        if text.skip_blanks() == "]":
            _refuse(path, text.line, "a comma before the end")
    if text.skip_blanks():
        _refuse(path, text.line, "more text after the list")


def lines(path: Path, handle: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of JSONL text; empty lines are passed over.

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
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                f"{path}: line {number}: is not JSON"
                f" ({getattr(error, 'msg', 'nested too deep')}); write one object per"
                " line"
            ) from error
        if not isinstance(item, dict):
            raise InputError(
                f"{path}: line {number}: is not an object; write {{...}} with one key"
                " per column"
            )
        yield f"line {number}", item


def single(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file is.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        InputError: If the file is something else.
    """
    value = read_json(path, "an object with one key per column", allow_nan=True)
    if not isinstance(value, dict):
        raise InputError(f"{path}: is not an object; write {{...}}")
    return value


def _refuse(path: Path, line: int, reason: str) -> None:
    """Say that the text is not JSON.

    Raises:
        InputError: Always.
    """
    raise InputError(
        f"{path}: line {line}: is not JSON ({reason}); write a list of objects"
    )


class _Buffer:
    """The unread part of a text.

    Attributes:
        line: Number of the line at its start.
    """

    def __init__(self, handle: TextIO) -> None:
        """Start at the beginning of a text."""
        self.line = 1
        self._handle = handle
        self._text = ""
        self._decoder = json.JSONDecoder()

    def drop(self, count: int) -> None:
        """Pass over characters."""
        self.line += self._text.count("\n", 0, count)
        self._text = self._text[count:]

    def skip_blanks(self) -> str:
        """Pass over blanks; return the next character, "" at the end."""
        while True:
            left = self._text.lstrip(" \t\r\n")
            self.drop(len(self._text) - len(left))
            if self._text or not self._more():
                return self._text[:1]

    def take_object(self, path: Path) -> dict[str, Any]:
        """Return the object that comes next."""
        while True:
            try:
                # An object ends with its brace: a part of one never parses.
                item, end = self._decoder.raw_decode(self._text)
            except (json.JSONDecodeError, RecursionError) as error:
                # Read as much again as there is, so that one large object is not
                # parsed once per chunk; but only where the fault may be that it ends.
                if self._may_go_on(error) and self._more(max(CHUNK, len(self._text))):
                    continue
                line = self.line + getattr(error, "lineno", 1) - 1
                _refuse(path, line, getattr(error, "msg", "nested too deep"))
            else:
                self.drop(end)
                return dict(item)

    def _may_go_on(self, error: Exception) -> bool:
        """Say whether an object may be whole once more is read."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        near_end = error.pos >= len(self._text) - LONGEST_TOKEN
        return near_end or error.msg.startswith("Unterminated string")

    def _more(self, count: int = CHUNK) -> bool:
        """Read on; say whether there was anything."""
        chunk = self._handle.read(count)
        self._text += chunk
        return bool(chunk)
