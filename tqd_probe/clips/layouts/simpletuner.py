"""``multidatabackend.json`` of SimpleTuner: a list of data backends.

https://github.com/bghira/SimpleTuner/blob/main/documentation/DATALOADER.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqd_probe.clips.layouts.datasets import (
    Layout,
    read_repeats,
    resolve_folder,
    videos_of,
)
from tqd_probe.core.errors import InputError
from tqd_probe.core.text_files import read_text

USED = {
    "id",
    "type",
    "dataset_type",
    "disabled",
    "disable",
    "instance_data_dir",
    "caption_strategy",
    "instance_prompt",
    "repeats",
    "probability",
}
STRATEGIES = ("textfile", "filename", "instanceprompt")


def is_backends(value: Any) -> bool:
    """Return whether a JSON value is a list of data backends.

    Args:
        value: Content of the file, or its first entries.

    Returns:
        True where an entry names a folder of training data.
    """
    return isinstance(value, list) and any(
        isinstance(entry, dict) and "id" in entry and "instance_data_dir" in entry
        for entry in value
    )


def read_backends(path: Path, value: list[Any]) -> Layout:
    """Read the backends of videos; others are passed over.

    Args:
        path: The file.
        value: Its content.

    Returns:
        The clips. SimpleTuner counts `repeats` on top of the first time, so 0 is once;
        `probability` multiplies.

    Raises:
        InputError: If an entry is at fault, or none has videos.
    """
    layout = Layout("SimpleTuner")
    unused: set[str] = set()
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: item {number}: is not an object; correct it")
        place = f"backend {entry.get('id', number)!r}"
        reason = _reason_to_pass_over(entry)
        if reason is not None:
            layout.notes.append(f"{place}: {reason}, passed over")
            continue
        unused |= set(entry) - USED
        _add_backend(path, place, entry, layout)
    if not layout.rows:
        notes = "; ".join(layout.notes) or "names no videos"
        raise InputError(f"{path}: {notes}; add a backend of videos")
    layout.unused(unused)
    return layout


def _reason_to_pass_over(entry: dict[str, Any]) -> str | None:
    """Return why a backend is not read, or None."""
    if entry.get("disabled") or entry.get("disable"):
        return "disabled"
    if entry.get("dataset_type", "image") != "video":
        return f"of {entry.get('dataset_type', 'image')}, not of video"
    if entry.get("type", "local") != "local":
        return f"its data are not local ({entry['type']})"
    return None


def _add_backend(path: Path, place: str, entry: dict[str, Any], layout: Layout) -> None:
    """Add the clips of a backend."""
    folder = resolve_folder(
        path, f"{place}: instance_data_dir", entry.get("instance_data_dir")
    )
    extra = entry.get("repeats", 0)
    if isinstance(extra, bool) or not isinstance(extra, (int, float)) or extra < 0:
        raise InputError(f"{path}: {place}: repeats: is {extra!r}; give 0 or more")
    share = read_repeats(path, f"{place}: probability", entry.get("probability", 1))
    strategy = entry.get("caption_strategy", "textfile")
    if strategy not in STRATEGIES:
        raise InputError(
            f"{path}: {place}: caption_strategy {strategy!r} is not read; known:"
            f" {', '.join(STRATEGIES)}; or give a table with captions"
        )
    for video in videos_of(path, place, folder, layout):
        caption: str | Path | None
        if strategy == "instanceprompt":
            caption = entry.get("instance_prompt")
        elif strategy == "filename":
            caption = video.stem.replace("_", " ")
        else:
            caption = _first_line(video.with_suffix(".txt"))
        layout.add(f"{place}: {video.name}", video, caption, (1 + extra) * share)


def _first_line(path: Path) -> str | Path:
    """Return the first of the captions in a file, one a line; else the file."""
    if not path.is_file():
        return path
    return next((x for x in read_text(path).splitlines() if x.strip()), path)
