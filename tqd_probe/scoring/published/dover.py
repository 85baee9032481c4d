"""DOVER's text file: rows without a header, in `zero_shot_res_sensehdr.txt`.

DOVER's script writes the header to the CSV file the user names but, in the version of
2024, the rows only to the text file: name, aesthetic, technical and overall score,
times 100.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tqd_probe.core.errors import InputError
from tqd_probe.core.text_files import open_text

FIELDS = ("aesthetic score", "technical score", "overall/final score")
ROWS_FILE = "zero_shot_res_sensehdr.txt"


def rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of DOVER's text file.

    Args:
        path: The file.

    Yields:
        Place and cells by the names of DOVER's CSV header, the name under ``video``.

    Raises:
        InputError: If the file cannot be read or has other rows.
    """
    try:
        with open_text(path) as handle:
            for count, line in enumerate(handle, 1):
                if not line.strip():
                    continue
                # Names may hold commas, scores do not.
                cells = [cell.strip() for cell in line.rsplit(",", len(FIELDS))]
                if len(cells) != 1 + len(FIELDS):
                    raise InputError(
                        f"{path}: line {count}: is not 'name, aesthetic, technical,"
                        f" overall' as DOVER writes {ROWS_FILE}; give a table with a"
                        " header as .csv"
                    )
                yield f"line {count}", dict(zip(("video", *FIELDS), cells))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from error


def hint(path: Path) -> str:
    """Return where DOVER wrote the rows when its CSV has only a header.

    Args:
        path: A table without rows.

    Returns:
        A clause for the message, or nothing.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as handle:
            header = handle.read(256)
    except OSError:
        return ""
    if FIELDS[1] in header and FIELDS[2] in header:
        return f"DOVER wrote them to {ROWS_FILE}: give that file, or "
    return ""
