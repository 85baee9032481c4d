"""Whether a file is as long as its container says.

A file cut short in the middle often decodes without an error up to the cut. Three
families of containers state their length: boxes (MP4, MOV), Matroska (MKV, WebM) and
RIFF (AVI). Others, such as transport streams, do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"}


def missing_bytes(path: Path) -> int:
    """Return how many bytes a file lacks.

    Args:
        path: The file.

    Returns:
        Bytes; 0 for a whole file and for containers that do not state their length.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(12)
        if start[4:8] in FIRST_BOXES:
            stated = _boxes_end(file, size)
        elif start[:4] == EBML:
            stated = _segment_end(file)
        elif start[:4] == b"RIFF":
            stated = 8 + int.from_bytes(start[4:8], "little")
        else:
            return 0
    return max(0, stated - size)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Return where the last box ends."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length < 8:  # 0: up to the end of the file; else no box
            return size
        place += length
    return place


def _segment_end(file: BinaryIO) -> int:
    """Return where the segment ends; 0 for live streams, which do not state it."""
    file.seek(4)
    length, _ = _number(file)
    if length is None:
        return 0
    file.seek(length, 1)
    if file.read(4) != SEGMENT:
        return 0
    length, _ = _number(file)
    return 0 if length is None else file.tell() + length


def _number(file: BinaryIO) -> tuple[int | None, int]:
    """Read a number of variable length; None for "unknown" (all bits are 1)."""
    first = file.read(1)
    if not first or not first[0]:
        return None, 0
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    value = int.from_bytes(bytes([first[0] & ((1 << (8 - length)) - 1)]) + rest, "big")
    return (None if value == (1 << (7 * length)) - 1 else value), length
