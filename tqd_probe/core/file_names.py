"""Names of files: Unicode forms, names that are no text, and the home directory."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqd_probe.core.errors import InputError


def expand_home(path: Path) -> Path:
    """Replace a ``~`` at the start of a path, which a shell replaces only there.

    Args:
        path: A path; ``--out=~/x`` and tables keep the sign.

    Returns:
        The path in the home directory; any other path as it is.

    Raises:
        InputError: If there is no home directory.
    """
    if not str(path).startswith("~"):
        return path
    if os.path.exists(path):  # a file of that very name
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(
            f"{path}: the home directory is not known (HOME is not set); write the"
            " whole path"
        ) from None


def expand_paths(value: Any) -> Any:
    """Replace ``~/`` in the value of an option, also in ``name=~/file``.

    Args:
        value: Any value; paths and text may hold the sign.

    Returns:
        The value, with the home directory in place of the sign.

    Raises:
        InputError: If there is no home directory.
    """
    if isinstance(value, Path):
        return expand_home(value)
    if isinstance(value, str) and "~/" in value:
        return re.sub(r"(?<![^=,])~(?=/)", lambda _: str(expand_home(Path("~"))), value)
    return value


def find_file(path: Path) -> Path:
    """Find a file whose name may be written in another Unicode form.

    An é is one character or two (NFC, NFD); a table written on one system and files
    copied from another may differ in that alone.

    Args:
        path: The path as it is written.

    Returns:
        The path as the file system has it; the given one where nothing matches.
    """
    if str(path).isascii() or os.path.exists(path):
        return path
    parent = find_file(path.parent)
    wanted = unicodedata.normalize("NFC", path.name)
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return path
    for name in names:
        if unicodedata.normalize("NFC", name) == wanted:
            return parent / name
    return parent / path.name


def is_text(name: object) -> bool:
    """Return whether a file's name is text, which files of results can hold.

    Args:
        name: The name or path.

    Returns:
        False where bytes could not be decoded, such as Latin-1 where names are UTF-8.
    """
    try:
        str(name).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def refuse_undecodable(paths: Iterable[Path]) -> None:
    """Refuse files whose names are not text of the system's encoding.

    Args:
        paths: The files.

    Raises:
        InputError: If there are some; names the first.
    """
    odd = [path for path in paths if not is_text(path)]
    if odd:
        encoding = sys.getfilesystemencoding().upper()
        cure = "rename it, as by: convmv -f latin1 -t utf8 --notest FOLDER/*"
        if encoding != "UTF-8":
            cure = "set PYTHONUTF8=1, or rename it"
        raise InputError(
            f"{shown(odd[0])}: the name is not {encoding} ({len(odd)} such names);"
            f" {cure}"
        )


def shown(path: object) -> str:
    r"""Write a path for a message.

    Args:
        path: The path.

    Returns:
        Its text; bytes that are no text as ``\xe9``.
    """
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace")
