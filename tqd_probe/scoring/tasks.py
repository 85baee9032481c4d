"""List the clips to score: from a folder, a table, or synthetic ones.

Unlike for probing, clips need no captions, and scores already in a table are ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqd_probe.clips.captions import read_caption
from tqd_probe.clips.column_names import ALIASES, find_column
from tqd_probe.clips.manifest import resolve_video
from tqd_probe.clips.tables import iterate_table, read_columns
from tqd_probe.clips.video import VIDEO_SUFFIXES, list_videos
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.scoring.score_row import parse_name


@dataclass(frozen=True)
class Task:
    """A clip to score.

    Attributes:
        video: Path of the file, or ``synthetic:INDEX``.
        caption: Caption, where a table has one.
        source: Origin of the clip, where a table has it.
    """

    video: str
    caption: str | None = None
    source: str | None = None

    def stamp(self) -> str:
        """Return size and modification time of the file: they change when it does."""
        try:
            state = os.stat(self.video)
        except OSError:
            return ""
        return f"{state.st_size}-{state.st_mtime_ns}"

    def prompt(self) -> str:
        """Return the caption, from the table or from the text file beside the video.

        Returns:
            The caption.

        Raises:
            BadClip: If there is none.
        """
        if self.caption:
            return self.caption
        try:
            return read_caption(Path(self.video))
        except InputError as error:
            raise BadClip(str(error)) from None


def list_tasks(source: str, limit: int | None = None) -> list[Task]:
    """List the clips of a source.

    Args:
        source: A folder of videos, a table with a column of videos, or ``synthetic:N``.
        limit: Take the first ones only.

    Returns:
        The clips, in the order of the source; captions are only taken from tables.

    Raises:
        InputError: If the source is unknown, empty or at fault.
    """
    kind, _, count = source.partition(":")
    path = Path(source)
    if kind == "synthetic" and not path.exists():
        if not (count.isascii() and count.isdigit() and int(count) > 0):
            raise InputError(
                f"--clips {source}: say how many clips, as in synthetic:24"
            )
        tasks = [Task(f"synthetic:{index}") for index in range(int(count))]
    elif path.is_dir():
        tasks = [Task(str(video)) for video in _videos(path)]
    elif path.is_file():
        tasks = list(_table(path))
    else:
        raise InputError(
            f"--clips {source}: no such folder or file; give a folder of videos, a"
            " manifest (.csv, .json, .jsonl, .parquet) or synthetic:N"
        )
    seen: set[str] = set()
    for task in tasks:
        if task.video in seen:
            raise InputError(
                f"--clips {source}: {task.video} is listed twice; keep one of the two"
            )
        seen.add(task.video)
    return tasks[:limit]


def _videos(folder: Path) -> list[Path]:
    """Return the videos of a folder by name.

    Raises:
        InputError: If there are none.
    """
    found = list_videos(folder)
    if not found:
        raise InputError(
            f"--clips {folder}: holds no videos ({', '.join(VIDEO_SUFFIXES)}); give"
            " another folder or a manifest"
        )
    return found


def _table(path: Path) -> Iterator[Task]:
    """Yield the clips of a table; only video, caption and source are read.

    Raises:
        InputError: If there is no column of videos or a name is missing.
    """
    columns = read_columns(path)
    try:
        video, caption, source = (
            find_column(columns, ALIASES[field])
            for field in ("video", "caption", "source")
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if video is None:
        raise InputError(
            f"{path}: column 'video' is missing; add it or rename one of:"
            f" {', '.join(columns)}"
        )
    for place, cells in iterate_table(path):
        try:
            file = parse_name(cells.get(video), video)
            if "\0" in file:
                raise InputError(
                    f"{video}: holds a NUL character; write the file's name"
                )
        except InputError as error:
            raise InputError(f"{path}: {place}: {error}") from None
        yield Task(
            video=str(resolve_video(path, file)),
            caption=_text(cells, caption),
            source=_text(cells, source),
        )


def _text(cells: dict[str, Any], column: str | None) -> str | None:
    """Return the text of a cell; None where there is none."""
    if column is None:
        return None
    return str(cells.get(column) or "").strip() or None
