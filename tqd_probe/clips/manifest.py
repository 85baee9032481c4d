"""Manifests: tables that name clips with their captions, scores and classes.

CSV, TSV, JSON (a list of objects), JSONL or Parquet, or a trainer's description of its
data (`tqd_probe.clips.clip_table`). Columns `video, caption, mq, vq, class, source,
repeats`; the first alias found in `tqd_probe.clips.column_names` stands for each.
Scores must be in [0, 1]: `tqd_probe.score --from` makes such a manifest of a published
table. Where there is no caption column, captions are in text files of the same name
beside the videos. Other columns are kept.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tqd_probe.clips.captions import caption_path
from tqd_probe.clips.clip_table import (
    ClipTable,
    caption_text,
    explained_clips,
    open_clip_table,
)
from tqd_probe.clips.tables import Rows
from tqd_probe.core.clip_classes import CLASSES
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import find_file, is_text


class ManifestRow(BaseModel):
    """One clip of a manifest. Columns of other names are in ``model_extra``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    video: Path = Field(description="The file, relative paths resolved.")
    caption: str = Field(description="What the clip shows, in words.")
    mq: float | None = Field(None, description="Motion quality in [0, 1].")
    vq: float | None = Field(None, description="Visual quality in [0, 1].")
    class_: str | None = Field(None, alias="class", description="One of CLASSES.")
    source: str | None = Field(None, description="Where the clip comes from.")
    repeats: float = Field(1.0, description="Draws in training, relative to 1.")

    @field_validator("video", "caption", mode="before")
    @classmethod
    def _filled(cls, value: Any) -> Any:
        """Return the cell.

        Raises:
            ValueError: If it is empty.
        """
        if value is None or not str(value).strip():
            raise ValueError("is empty; fill it in or remove the row")
        if not is_text(value):
            raise ValueError("holds half of a character; write the text again")
        return value.strip() if isinstance(value, str) else value

    @field_validator("video")
    @classmethod
    def _file_name(cls, value: Path) -> Path:
        """Return the path.

        Raises:
            ValueError: If no file can have that name.
        """
        if "\0" in str(value):
            raise ValueError("holds a NUL character; write the file's name as text")
        longest = max(value.parts, key=len, default="")
        if len(os.fsencode(longest)) > 255 or len(os.fsencode(value)) > 4000:
            raise ValueError(
                f"{longest[:40]}... is longer than a file's name can be; correct it"
            )
        return value

    @field_validator("mq", "vq", mode="before")
    @classmethod
    def _score(cls, value: Any) -> float | None:
        """Return a score, or None from an empty cell.

        Raises:
            ValueError: If it is no number in [0, 1].
        """
        if value is None or value == "":
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(
                f"{value!r} is not a number; scores are numbers in [0, 1] (preferences"
                " and labels are not), leave the cell empty where there is none"
            )
        if not 0 <= number <= 1:
            raise ValueError(
                f"{number:g} is outside [0, 1]; scale the column to [0, 1]"
            )
        return number

    @field_validator("repeats", mode="before")
    @classmethod
    def _count(cls, value: Any) -> float:
        """Return a number of repeats, or 1 from an empty cell.

        Raises:
            ValueError: If it is no number above 0.
        """
        if value is None or value == "":
            return 1.0
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 < number < math.inf:
            raise ValueError(
                f"{value!r} is not a number above 0; correct it, or leave the row out"
            )
        return number

    @field_validator("class_", mode="before")
    @classmethod
    def _class(cls, value: Any) -> str | None:
        """Return a class, or None from an empty cell.

        Raises:
            ValueError: If it is unknown.
        """
        if value is None or value == "":
            return None
        name = str(value).strip().lower()
        if name not in CLASSES:
            raise ValueError(
                f"{value!r} is not a class; use one of {', '.join(CLASSES)}, or rename"
                " a column that means something else"
            )
        return name

    @field_validator("source", mode="before")
    @classmethod
    def _text(cls, value: Any) -> str | None:
        """Return a source, or None from an empty cell."""
        return None if value is None or value == "" else str(value).strip()


def read_manifest(path: Path, notes: list[str] | None = None) -> list[ManifestRow]:
    """Read a manifest.

    Args:
        path: A table, or a trainer's description of its data (`open_clip_table`);
            relative video paths start at its folder.
        notes: Gets what a user should know of how it is read.

    Returns:
        The rows in the order of the file.

    Raises:
        InputError: If the file or a row has a fault; names file, place, column and
            cure.
    """
    with explained_clips(path):
        return _read_rows(path, notes)


def _read_rows(path: Path, notes: list[str] | None) -> list[ManifestRow]:
    """Read the rows of a manifest; see `read_manifest`."""
    table = open_clip_table(path)
    names, rows = dict(table.names), list(table.rows())
    if not rows:
        raise InputError(f"{path}: holds no rows; add one per clip")
    text_files = not names["caption"] and _has_text_files(table, rows)
    for field in ("video", "caption"):
        if names[field] is None and not (field == "caption" and text_files):
            raise InputError(
                f"{path}: column {field!r} is missing; add it or rename one of:"
                f" {', '.join(table.columns)}"
                + (" (or write .txt files beside the videos)" * (field == "caption"))
            )
    found, seen, several = [], dict[Path, str](), 0
    for place, cells in rows:
        column = names["caption"] or "caption"
        several += isinstance(cells.get(column), list) and len(cells[column]) > 1
        row = _row(table, place, cells, text_files)
        if row.video in seen:
            raise InputError(
                f"{path}: {place}: {names['video']}: {row.video} is already in"
                f" {seen[row.video]}; keep one of the two"
            )
        seen[row.video] = place
        found.append(row)
    if notes is not None:
        notes += table.notes
        if several:
            notes.append(f"{several} clips have several captions; the first counts")
    return found


def _row(
    table: ClipTable, place: str, cells: dict[str, Any], text_files: bool
) -> ManifestRow:
    """Return one checked row.

    Raises:
        InputError: If a cell has a fault.
    """
    names = table.names
    taken = set(names.values())
    values = {name: cell for name, cell in cells.items() if name not in taken}
    for field, name in names.items():
        # An unused alias may have the field's own name in another spelling: drop it.
        values = {key: value for key, value in values.items() if key != field}
        values[field] = cells.get(name) if name else None
    video = table.video(str(values["video"] or ""))
    if text_files:
        values["caption"] = caption_path(video)
    values["caption"] = caption_text(values["caption"], video)
    try:
        row = ManifestRow.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        field = str(fault["loc"][0])
        reason = fault.get("ctx", {}).get("error", fault["msg"])
        raise InputError(
            f"{table.path}: {place}: {names.get(field) or field}: {reason}"
        ) from error
    return row.model_copy(update={"video": video})


def _has_text_files(table: ClipTable, rows: Rows) -> bool:
    """Return whether captions are in text files: whether the first video has one."""
    column = table.names["video"]
    first = rows[0][1].get(column) if column else None
    return bool(first) and find_file(caption_path(table.video(str(first)))).is_file()
