"""Tables that name clips: which column is which, and where their paths start.

CSV, TSV, JSON, JSONL and Parquet with a column of videos, and the descriptions of
trainers (`tqd_probe.clips.layouts`), which are read as such tables.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqd_probe.clips.captions import read_caption_file
from tqd_probe.clips.column_names import ALIASES, column_key, find_column
from tqd_probe.clips.layouts.captions_json import is_captions, read_caption_object
from tqd_probe.clips.layouts.datasets import Layout
from tqd_probe.clips.layouts.simpletuner import is_backends, read_backends
from tqd_probe.clips.layouts.toml_datasets import read_toml
from tqd_probe.clips.tables import SUFFIXES, Row, iterate_table, read_columns
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import expand_home, find_file
from tqd_probe.core.files import read_json
from tqd_probe.core.known_files import DATA_SETS, TRAINERS, beside, explained

HEAD = 64  # rows by which columns and folder are chosen
SHOWN = 8  # names of unused columns that are listed
OWN = {"mq_raw", "vq_raw", "components"}  # of our score tables, for readers
KNOWN = (
    "a table with a column of videos (.csv, .tsv, .json, .jsonl, .parquet), captions by"
    " file name (.json), datasets of diffusion-pipe or musubi-tuner (.toml), or"
    " SimpleTuner's multidatabackend.json"
)


@dataclass
class ClipTable:
    """A table of clips.

    Attributes:
        path: The file, for messages.
        rows: Reads the rows from the start; those of images are left out.
        names: Column of each field of `ALIASES`, or None.
        columns: All columns, in order.
        folder: Where relative paths start.
        notes: What a user should know of how it is read, one sentence each.
    """

    path: Path
    rows: Callable[[], Iterator[Row]]
    names: dict[str, str | None]
    columns: list[str]
    folder: Path
    notes: list[str] = field(default_factory=list)

    def video(self, name: Path | str) -> Path:
        """Resolve the path of a video.

        Args:
            name: The path as a cell has it.

        Returns:
            The normalised path; a relative one starts at `folder`.
        """
        return resolve_video(self.folder, name)


def resolve_video(folder: Path, name: Path | str) -> Path:
    """Resolve the path of a video that a table names.

    Args:
        folder: Where relative paths start.
        name: The path in the table.

    Returns:
        The normalised path, in the Unicode form that the file system has; backslashes,
        which Windows writes, stand for slashes where there is no file otherwise.
    """
    path = Path(os.path.normpath(folder / expand_home(Path(name))))
    if "\0" in str(path):  # refused where rows are checked
        return path
    found = find_file(path)
    if "\\" in str(name) and not os.path.exists(found):
        other = resolve_video(folder, str(name).replace("\\", "/"))
        return other if os.path.exists(other) else found
    return found


def explained_clips(path: Path) -> AbstractContextManager[None]:
    """Return a context in which an error says what was given instead of clips.

    Args:
        path: The file or folder given.
    """

    def cure(kind: str) -> str:
        if kind in ("summary", "journal"):
            stem = path.name.partition(f".{kind}")[0]
            table = beside(path, f"{stem}.csv") or beside(path, f"{stem}.jsonl")
            return f"give {table}" if table else "give the table that score wrote"
        if kind in TRAINERS:
            return "give the data sets that it names, or a folder of videos"
        return f"give a folder of videos, or {KNOWN}"

    known = {"table", "folder", "empty", "diffusion-pipe", *DATA_SETS}
    return explained(path, known, cure)


def open_clip_table(path: Path) -> ClipTable:
    """Open a table of clips, or a trainer's description of its data.

    Args:
        path: The file.

    Returns:
        The table; its rows are read when they are asked for.

    Raises:
        InputError: If the file is missing, unreadable, empty or of no known form.
    """
    layout = _layout(path)
    if layout is not None:
        names: dict[str, str | None] = dict.fromkeys(ALIASES)
        fields = ["video", "caption", "repeats"]
        names |= {name: name for name in fields}
        rows = layout.rows
        return ClipTable(
            path, lambda: iter(rows), names, fields, path.parent, layout.notes
        )
    columns = read_columns(path, HEAD)
    head = [cells for _, cells in itertools.islice(iterate_table(path), HEAD)]
    try:
        names = {name: find_column(columns, keys) for name, keys in ALIASES.items()}
        video, folder, notes = _choose_video(path, columns, head)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    names["video"] = video
    kind = find_column(columns, ["type"])
    used = {*names.values(), kind}
    unused = [name for name in columns if name not in used | OWN and name]
    if unused:
        more = f" and {len(unused) - SHOWN} more" if len(unused) > SHOWN else ""
        notes.append(f"columns not used: {', '.join(unused[:SHOWN])}{more}")
    if kind is not None:
        images = sum(_is_image(cells, kind) for _, cells in iterate_table(path))
        notes += [f"passed over: {images} rows of images"] if images else []
    return ClipTable(
        path, lambda: _without_images(path, kind), names, columns, folder, notes
    )


def caption_text(cell: Any, video: Path) -> str | None:
    """Return the caption in a cell.

    Args:
        cell: Text, a list of captions, of which the first counts, or the path of a text
            file.
        video: The video, for messages.

    Returns:
        The caption; None for an empty cell.

    Raises:
        InputError: If a text file is missing or at fault.
    """
    if isinstance(cell, Path):
        return read_caption_file(cell, video.name)
    if isinstance(cell, list):
        cell = cell[0] if cell else None
    return None if cell is None else str(cell).strip() or None


def _layout(path: Path) -> Layout | None:
    """Read a trainer's description; None where the file is a table."""
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, ".toml"):
        raise InputError(f"{path}: suffix {path.suffix!r} is not read; give {KNOWN}")
    if not path.is_file():
        return None
    if suffix == ".toml":
        return read_toml(path)
    if suffix != ".json" or not _may_be_layout(path):
        return None
    value = read_json(path, "captions by file name or a list of objects", True)
    if is_captions(value):
        return read_caption_object(path, value)
    if is_backends(value):
        return read_backends(path, value)
    if isinstance(value, dict):
        raise InputError(f"{path}: is not a list; known are {KNOWN}")
    return None


def _may_be_layout(path: Path) -> bool:
    """Return whether a JSON file may be no plain table; large ones are not read."""
    if path.stat().st_size > 1 << 28:
        return False
    try:
        _, first = next(iterate_table(path))
    except StopIteration:
        return False
    except InputError:
        return True
    return "instance_data_dir" in first or "dataset_type" in first


def _choose_video(
    path: Path, columns: list[str], head: list[dict[str, Any]]
) -> tuple[str | None, Path, list[str]]:
    """Choose the column of videos, and the folder at which its paths start.

    Of several columns with a known name the first is taken in which a file is named;
    where none is, the first. Paths start at the table's folder, or in ``videos`` beside
    it (FastVideo), or at the working directory (musubi-tuner).

    Returns:
        The column, the folder, and what to say of both.

    Raises:
        InputError: If two columns have one name.
    """
    found = [find_column(columns, [alias]) for alias in ALIASES["video"]]
    candidates = [name for name in found if name is not None]
    places = (path.parent, path.parent / "videos", Path())
    notes: list[str] = []
    for folder in places:
        for name in candidates:
            if any(_is_file(folder, cells.get(name)) for cells in head):
                if len(candidates) > 1:
                    rest = ", ".join(each for each in candidates if each != name)
                    notes.append(f"videos are named by column {name!r}, not by {rest}")
                if folder != path.parent:
                    shown = folder if folder.parts else "the working directory"
                    notes.append(f"paths start at {shown}, where files of it are")
                if any("\\" in str(cells.get(name)) for cells in head):
                    notes.append("backslashes in paths are read as slashes")
                return name, folder, notes
    if candidates:
        first = resolve_video(path.parent, str(head[0].get(candidates[0]) or ""))
        notes.append(
            f"none of the first {len(head)} rows names a file by column"
            f" {' or '.join(map(repr, candidates))}; the first would be {first}"
        )
    return next(iter(candidates), None), path.parent, notes


def _is_file(folder: Path, cell: Any) -> bool:
    """Return whether a cell names a file."""
    if not isinstance(cell, str) or not cell.strip() or "\0" in cell:
        return False
    try:
        return resolve_video(folder, cell.strip()).is_file()
    except (OSError, InputError):  # no file can have that name
        return False


def _without_images(path: Path, column: str | None) -> Iterator[Row]:
    """Yield the rows of a table; those of images (VideoX-Fun's type) are left out."""
    for place, cells in iterate_table(path):
        if not _is_image(cells, column):
            yield place, cells


def _is_image(cells: dict[str, Any], column: str | None) -> bool:
    """Return whether a row is of an image."""
    return column is not None and column_key(str(cells.get(column))) == "image"
