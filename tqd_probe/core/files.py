"""Atomic writing of files and folders; JSON; checksums.

Whatever is written goes to a temporary name in the same folder first and is renamed at
the end. A killed process leaves at most a hidden ``.NAME.PID.part`` behind.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from tqd_probe.core.errors import InputError
from tqd_probe.core.text_files import read_text

CURE = "free the disk or choose another folder"
DIGESTED = 1 << 20  # bytes read at once


class NotWritten(InputError):
    """A file or folder that the disk refused; the cause is the system's error."""


@contextmanager
def staged(path: Path, sync: bool = True) -> Iterator[Path]:
    """Give a temporary path that is renamed to `path` when the block succeeds.

    Args:
        path: Final place; its folder is made when it is missing.
        sync: Also force the bytes to the disk, against a power failure; not needed
            against a killed process.

    Yields:
        The path to write to. It is removed when the block raises.

    Raises:
        NotWritten: If the folder cannot be written to.
    """
    part = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if sync:
            _sync(part)
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise NotWritten(_refused(path, error, CURE)) from error
    finally:
        with suppress(OSError):  # the folder may not exist either
            part.unlink()


@contextmanager
def staged_folder(
    path: Path, replace: bool = False, cure: str | None = None
) -> Iterator[Path]:
    """Give a temporary folder that is renamed to `path` when the block succeeds.

    Every file is forced to the disk before the folder gets its name.

    Args:
        path: Final place; its parent is made when it is missing.
        replace: Take the place of a folder that is there. Otherwise `path` must be
            absent or an empty folder.
        cure: What the user can do when the disk refuses, for the message.

    Yields:
        The folder to write to. It is removed when the block raises.

    Raises:
        InputError: If the place is taken.
        NotWritten: If it cannot be written to.
    """
    taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if taken and not replace:
        raise InputError(f"{path}: exists and is not empty; choose another folder")
    part, old = _temporary(path), _temporary(path.with_name(f"old-{path.name}"))
    try:
        part.mkdir(parents=True)
        yield part
        _sync_files(part)
        if taken:
            os.replace(path, old)
        os.replace(part, path)
        _sync(path.parent)
    except NotWritten as error:
        if str(part) not in str(error):
            raise
        # A file in it: the folder is what the user knows.
        cause = error.__cause__
        raise NotWritten(_refused(path, cause, cure or CURE)) from cause
    except (OSError, SafetensorError) as error:
        raise NotWritten(_refused(path, error, cure or CURE)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _refused(path: Path, error: BaseException | None, cure: str) -> str:
    """Write the message about a path that the disk refused."""
    return f"{path}: cannot be written ({_reason(error)}); {cure}"


def _reason(error: BaseException | None) -> str:
    """Return why something cannot be written, in the operating system's words."""
    if isinstance(error, shutil.Error):  # of a copied folder: a list of failures
        text = str(error.args[0][0][2])
        found = re.match(r"\[Errno \d+\] (.*?)(?:: '|$)", text)
        return found[1] if found else text
    text = getattr(error, "strerror", None) or str(error)
    found = re.search(r"I/O error: (.*?) \(os error \d+\)", text)  # of safetensors
    return found[1] if found else text


def _temporary(path: Path) -> Path:
    """Return the hidden name under which something is written."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _sync_files(folder: Path) -> None:
    """Force the files of a folder and its lists of names to the disk."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; equal values give equal bytes.

    Args:
        path: Where to write.
        value: What to write; dictionaries keep their order.

    Raises:
        ValueError: If a number is not finite: JSON has no NaN.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with staged(path) as part:
        part.write_text(_compact_lists(text) + "\n", encoding="utf-8")


def _compact_lists(text: str) -> str:
    """Put lists of plain values on one line, so that curves can be read."""
    lines, out = text.split("\n"), []
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.endswith("["):
            end = index + 1
            while end < len(lines) and not any(c in lines[end] for c in "[]{}"):
                end += 1
            if end < len(lines) and lines[end].strip() in {"]", "],"}:
                inner = " ".join(part.strip() for part in lines[index + 1 : end])
                out.append(line + inner + lines[end].strip())
                index = end + 1
                continue
        out.append(line)
        index += 1
    return "\n".join(out)


# About what a run stores and can compute anew; --overwrite keeps it where it fits.
DELETE = "delete this file and run the same command again"


def read_json(path: Path, what: str, allow_nan: bool = False, cure: str = "") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: What the file should be, for the message.
        allow_nan: Accept NaN and infinities, for a reader that refuses them itself.
        cure: What to do about a file that is there and cannot be read.

    Returns:
        The parsed value.

    Raises:
        InputError: If the file is missing, unreadable, not JSON, repeats a key, or
            holds NaN.
    """

    def refuse(name: str) -> float:
        todo = cure or "write finite numbers"
        raise InputError(f"{path}: {name} is not allowed in JSON; {todo}")

    end = f"; {cure}" if cure else ""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{path}: key {name!r} appears twice; keep one")
        return dict(pairs)

    try:
        text = read_text(path)
        return json.loads(
            text,
            parse_constant=float if allow_nan else refuse,
            object_pairs_hook=once,
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno} is not JSON ({error.msg}); expected {what}"
            f"{end}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}); expected {what}{end}"
        ) from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    with open(path, "rb") as handle:
        found = hashlib.sha256()
        while part := handle.read(DIGESTED):  # hashlib.file_digest is of Python 3.11
            found.update(part)
    return found.hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of key order.

    Args:
        value: Anything `json.dumps` takes.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def finite_or_none(value: float) -> float | None:
    """Return a float for JSON, None (JSON null) when it is undefined.

    Args:
        value: Any float.

    Returns:
        The value, or None for NaN and infinities.
    """
    return float(value) if math.isfinite(value) else None
