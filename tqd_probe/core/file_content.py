"""What a file is by its first bytes, whatever its name ends with."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from pathlib import Path

from tqd_probe.core.text_files import MARKS

START = 4096  # bytes that are looked at
LARGEST_HEADER = 100_000_000  # bytes, as in the library safetensors
FIRST_BYTES = (
    (b"\x89PNG\r\n\x1a\n", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "video"),
    (b"\x1a\x45\xdf\xa3", "video"),  # Matroska, WebM
    (b"FLV\x01", "video"),
    (b"OggS", "video"),
    (b"PAR1", "Parquet"),
    (b"GGUF", "GGUF"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
)
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # of MP4 and MOV


def kind_of_content(path: Path) -> str | None:
    """Return what a file is by its first bytes.

    Args:
        path: The file.

    Returns:
        ``empty``, ``picture``, ``video``, ``pickle``, ``GGUF``, ``Parquet``, ``LoRA``,
        ``weights``, or ``binary`` for other bytes that are no text; None for text.

    Raises:
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(START)
    if not start.strip():
        return "empty"
    for first, kind in FIRST_BYTES:
        if start.startswith(first):
            return kind
    if start[4:8] in BOXES or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "video"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "picture"
    if start.startswith(b"PK\x03\x04"):
        return _kind_of_archive(path)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and 2 <= length <= min(LARGEST_HEADER, size):
        return _kind_of_weights(path, length)
    return None if _is_text(start) else "binary"


def _kind_of_archive(path: Path) -> str:
    """Return what a ZIP archive is: torch writes its pickles so."""
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if any(name.endswith("data.pkl") for name in archive.namelist()):
            return "pickle"
    return "binary"


def _kind_of_weights(path: Path, length: int) -> str:
    """Return what a safetensors file is, by the names in its header."""
    with open(path, "rb") as file:
        file.seek(8)
        header = file.read(length)
    try:
        names = json.loads(header)
    except (ValueError, RecursionError):
        return "weights"
    return "LoRA" if any(".lora_" in f".{name}" for name in names) else "weights"


def _is_text(start: bytes) -> bool:
    """Return whether the first bytes may be text, in UTF-8, UTF-16 or UTF-32.

    Latin-1 is text as well, and so is UTF-8 with a stray NUL: their readers name the
    line at fault.
    """
    if any(start.startswith(mark) for mark, _ in MARKS) or b"\0" not in start:
        return True
    try:
        start.decode("utf-8")
        return True
    except UnicodeDecodeError as error:
        if error.start > len(start) - 4:  # a character that is cut
            return True
    if 4 * start.count(0) < len(start):
        return False
    return b"\0" not in start[0::2] or b"\0" not in start[1::2]  # UTF-16, no mark
