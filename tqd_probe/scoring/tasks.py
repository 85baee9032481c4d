"""List the clips to score: from a folder, a table, or synthetic ones.

Unlike for probing, clips need no captions, and scores already in a table are ignored.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqd_probe.clips.captions import read_caption
from tqd_probe.clips.clip_table import (
    KNOWN,
    caption_text,
    explained_clips,
    open_clip_table,
)
from tqd_probe.clips.folder import (
    notes_of_folder,
    refuse_without_videos,
    table_of_folder,
)
from tqd_probe.clips.source_names import is_synthetic
from tqd_probe.clips.video import list_videos
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.file_names import expand_home, find_file, refuse_undecodable
from tqd_probe.scoring.score_row import parse_name, parse_score


@dataclass(frozen=True)
class Task:
    """A clip to score.

    Attributes:
        video: Path of the file, or ``synthetic:INDEX``.
        caption: Caption, where a table has one.
        source: Origin of the clip, where a table has it.
        repeats: How often training draws the clip, where a table says so.
    """

    video: str
    caption: str | None = None
    source: str | None = None
    repeats: float = 1.0

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


def list_tasks(
    source: str, limit: int | None = None, notes: list[str] | None = None
) -> list[Task]:
    """List the clips of a source.

    Args:
        source: A folder of videos, a table of clips or a trainer's description
            (`open_clip_table`), or ``synthetic:N``.
        limit: Take the first ones only.
        notes: Gets what a user should know of how the source is read.

    Returns:
        The clips, in the order of the source; captions are only taken from tables.

    Raises:
        InputError: If the source is unknown, empty or at fault.
    """
    notes = [] if notes is None else notes
    path = expand_home(Path(source))
    try:
        synthetic = is_synthetic(source)
    except InputError as error:
        raise InputError(f"--clips {error}") from None
    if synthetic:
        count = source.partition(":")[2]
        if not (count.isascii() and count.isdigit() and int(count) > 0):
            raise InputError(
                f"--clips {source}: say how many clips, as in synthetic:24"
            )
        tasks = [Task(f"synthetic:{index}") for index in range(int(count))]
    elif path.is_dir():
        with explained_clips(path):
            tasks = _folder(path, notes)
    elif path.is_file():
        with explained_clips(path):
            tasks = _table(path, notes)
    else:
        raise InputError(
            f"--clips {source}: no such folder or file; give a folder of videos,"
            f" synthetic:N, or a manifest: {KNOWN}"
        )
    seen: set[str] = set()
    for task in tasks:
        if task.video in seen:
            raise InputError(
                f"--clips {source}: {task.video} is listed twice; keep one of the two"
            )
        seen.add(task.video)
    return tasks[:limit]


def _folder(folder: Path, notes: list[str]) -> list[Task]:
    """Return the videos of a folder by name, with captions where a table has them.

    Raises:
        InputError: If there are none, or a name is not text.
    """
    table = table_of_folder(folder, scores=False, notes=notes)
    if table is not None:
        tasks = _table(table, notes)
        videos = [Path(task.video) for task in tasks]
    else:
        try:
            refuse_without_videos(folder)
        except InputError as error:
            raise InputError(f"--clips {error}") from None
        videos = list_videos(folder)
        refuse_undecodable(videos)
        tasks = [Task(str(video)) for video in videos]
    notes += notes_of_folder(folder, videos)
    return tasks


def _table(path: Path, notes: list[str]) -> list[Task]:
    """Return the clips of a table; its scores and classes are not read.

    Raises:
        InputError: If there is no column of videos or a name is missing.
    """
    table = open_clip_table(path)
    notes += table.notes
    column = table.names["video"]
    if column is None:
        raise InputError(
            f"{path}: column 'video' is missing; add it or rename one of:"
            f" {', '.join(table.columns)}"
        )
    tasks = []
    for place, cells in table.rows():
        try:
            file = parse_name(cells.get(column), column)
            if "\0" in file:
                raise InputError(
                    f"{column}: holds a NUL character; write the file's name"
                )
            often = table.names["repeats"]
            repeats = parse_score(cells.get(often), often) if often else None
        except InputError as error:
            raise InputError(f"{path}: {place}: {error}") from None
        video = table.video(file)
        tasks.append(
            Task(
                video=str(video),
                caption=_caption(cells.get(table.names["caption"] or ""), video),
                source=_text(cells, table.names["source"]),
                repeats=1.0 if repeats is None else repeats,
            )
        )
    refuse_undecodable(Path(task.video) for task in tasks)
    return tasks


def _caption(cell: Any, video: Path) -> str | None:
    """Return the caption in a cell; None where there is none, as none is needed."""
    if isinstance(cell, Path) and not find_file(cell).is_file():
        return None
    return caption_text(cell, video)


def _text(cells: dict[str, Any], column: str | None) -> str | None:
    """Return the text of a cell; None where there is none."""
    if column is None:
        return None
    return str(cells.get(column) or "").strip() or None
