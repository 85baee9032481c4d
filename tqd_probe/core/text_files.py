"""Text of users: UTF-8, or UTF-16 and UTF-32 with a byte order mark; no guesses.

Text in Latin-1 or Windows-1252 has no mark. Read as if it were UTF-8 it is at fault
somewhere, and that place is named; read as one of the two it might come out wrong
without a word.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqd_probe.core.errors import InputError

MARKS = (  # that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CURE = "save it as UTF-8"


def text_encoding(start: bytes) -> str:
    """Return the encoding that a text's first bytes state.

    Args:
        start: The first bytes, at least four where there are so many.

    Returns:
        Python's name of the encoding; UTF-8, with a mark or without, where no other
        mark is there.
    """
    for mark, name in MARKS:
        if start.startswith(mark):
            return name
    return "utf-8-sig"


def read_text(path: Path) -> str:
    """Read a text file.

    Args:
        path: The file.

    Returns:
        Its text without a byte order mark.

    Raises:
        InputError: If it is not text of a known encoding; names line, byte and cure.
            What the operating system refuses is an `OSError`.
    """
    data = path.read_bytes()
    encoding = text_encoding(data)
    if _has_wide_characters(data, encoding):
        raise InputError(f"{path}: {_nul()}")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise InputError(f"{path}: {_fault(data.splitlines(), encoding)}") from None
    if "\0" in text:
        raise InputError(f"{path}: {_nul()}")
    return text


@contextmanager
def open_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file of any size.

    Args:
        path: The file.
        newline: As for `open`.

    Yields:
        Its text, read as needed.

    Raises:
        InputError: If it is not text of a known encoding, when the reader reaches the
            fault. What the operating system refuses is an `OSError`.
    """
    with open(path, "rb") as raw:
        start = raw.read(4096)
    encoding = text_encoding(start)
    if _has_wide_characters(start, encoding):
        raise InputError(f"{path}: {_nul()}")
    try:
        with open(path, encoding=encoding, newline=newline) as handle:
            yield handle
    except UnicodeDecodeError:
        with open(path, "rb") as raw:
            raise InputError(f"{path}: {_fault(raw, encoding)}") from None


def _has_wide_characters(data: bytes, encoding: str) -> bool:
    """Return whether bytes without a mark look like UTF-16: much of them is NUL."""
    return encoding == "utf-8-sig" and 4 * data.count(0) >= max(1, len(data))


def _fault(lines: Iterator[bytes] | list[bytes], encoding: str) -> str:
    """Name the first line that is not text, and the cure."""
    name = encoding.removesuffix("-sig").upper()
    for number, line in enumerate(lines if encoding == "utf-8-sig" else (), 1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            byte = line[error.start]
            return (
                f"line {number}: is not UTF-8 (byte 0x{byte:02x}, as Latin-1 and"
                f" Windows-1252 have it); {CURE}"
            )
    return f"is not {name}, which its byte order mark states; {CURE}"


def _nul() -> str:
    """Say that a text holds NUL characters, and the cure."""
    return (
        "holds NUL characters: UTF-16 without a byte order mark, or no text at all;"
        f" {CURE}"
    )
