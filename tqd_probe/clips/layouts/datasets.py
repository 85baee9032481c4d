"""What the descriptions of trainers have in common: datasets of folders, repeated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqd_probe.clips.tables import Rows
from tqd_probe.clips.video import list_videos
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import expand_home, find_file


@dataclass
class Layout:
    """The clips of a description.

    Attributes:
        name: The trainer, for messages.
        rows: Place and cells: ``video`` (a path), ``caption`` (text, or the path of a
            text file that may be missing), ``repeats`` (draws of the clip for one of a
            clip without repeats).
        notes: What was passed over or is not used, one sentence each.
    """

    name: str
    rows: Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _known: dict[Path, dict[str, Any]] = field(default_factory=dict, repr=False)

    def add(
        self, place: str, video: Path, caption: str | Path | None, repeats: float
    ) -> None:
        """Add a clip; one that is there already is drawn more often."""
        video = Path(os.path.abspath(video))  # a table's paths start elsewhere
        if video in self._known:
            self._known[video]["repeats"] += repeats
            return
        cells = {"video": video, "caption": caption, "repeats": repeats}
        self._known[video] = cells
        self.rows.append((place, cells))

    def unused(self, keys: Iterable[str]) -> None:
        """Name the keys that are not used, once."""
        names = sorted(set(keys))
        if names:
            self.notes.append(f"read as {self.name}'s; not used: {', '.join(names)}")


def resolve_folder(path: Path, place: str, value: Any) -> Path:
    """Return a folder that a description names.

    Args:
        path: The description; a relative folder starts at the working directory, as
            trainers have it, or where there is none at the description's folder.
        place: The entry, for messages.
        value: Its cell.

    Returns:
        The folder.

    Raises:
        InputError: If the cell is no path, or there is no such folder.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{path}: {place}: is {value!r}; give a folder's path")
    named = expand_home(Path(value))
    for folder in (named, path.parent / named):
        found = find_file(folder)
        if found.is_dir():
            return found
    raise InputError(f"{path}: {place}: {value}: no such folder; correct the path")


def read_repeats(path: Path, place: str, value: Any) -> float:
    """Return how often clips are repeated.

    Args:
        path: The description, for messages.
        place: The key, for messages.
        value: Its cell.

    Returns:
        A number above 0.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InputError(
            f"{path}: {place}: is {value!r}; give a number above 0, or leave the"
            " dataset out"
        )
    return float(value)


def videos_of(path: Path, place: str, folder: Path, layout: Layout) -> list[Path]:
    """Return the videos of a folder that a description names.

    Args:
        path: The description, for messages.
        place: The entry, for messages.
        folder: The folder.
        layout: Noted when the folder has none.

    Returns:
        The videos, by name.
    """
    videos = list_videos(folder)
    if not videos:
        layout.notes.append(f"{place}: {folder} holds no videos, passed over")
    return videos
