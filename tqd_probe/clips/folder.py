"""Folders of videos: the table that belongs to one, and what is passed over in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqd_probe.clips.clip_table import open_clip_table
from tqd_probe.clips.video import VIDEO_SUFFIXES, list_videos
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json

SUMMARY = ".summary.json"  # what `score` writes beside its table
SCORES_FORMAT = "tqd-scores"
TABLES = (  # of video folders of Hugging Face, VideoX-Fun, FastVideo, diffusion-pipe
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
    "metadata.json",
    "videos2caption.json",
    "captions.json",
)
OTHER_VIDEOS = tuple(
    [
        ".ts",
        ".m2ts",
        ".mts",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
        ".vob",
        ".gif",
        ".webp",
        ".apng",
        ".y4m",
        ".mxf",
        ".asf",
    ]
)
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MOST_ENTRIES = 50_000  # looked at below a folder


def table_of_folder(
    folder: Path, scores: bool = True, notes: list[str] | None = None
) -> Path | None:
    """Return the table that holds a folder's classes, scores or captions.

    Args:
        folder: The folder of videos.
        scores: Take a table that `score` wrote there, before any other.
        notes: Gets a sentence about the table taken, or one that has its name and
            names no videos.

    Returns:
        The table; None where there is none.

    Raises:
        InputError: If there are several score tables.
    """
    found = [*_score_tables(folder)] if scores else []
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"{folder}: holds several score tables ({names}); give one of them instead"
            " of the folder"
        )
    notes = [] if notes is None else notes
    found += [folder / name for name in TABLES if (folder / name).is_file()]
    for path in found:
        try:
            names_videos = open_clip_table(path).names["video"] is not None
        except InputError as error:
            notes.append(f"passed over: {error}")
            continue
        if names_videos:
            notes.append(f"{folder}: clips are those of {path.name} in it")
            return path
        notes.append(f"passed over: {path} names no videos")
    return None


def _score_tables(folder: Path) -> Iterator[Path]:
    """Yield the tables in a folder that `score` wrote, by their summaries."""
    for summary in sorted(folder.glob(f"*{SUMMARY}")):
        try:
            value = read_json(summary, "a summary", allow_nan=True)
        except InputError:
            continue
        if not isinstance(value, dict) or value.get("format") != SCORES_FORMAT:
            continue
        stem = summary.name.removesuffix(SUMMARY)
        for suffix in (".csv", ".jsonl"):
            if (folder / f"{stem}{suffix}").is_file():
                yield folder / f"{stem}{suffix}"
                break


def notes_of_folder(folder: Path, used: Iterable[Path]) -> list[str]:
    """Say what of a folder is passed over.

    Args:
        folder: The folder.
        used: The videos that are read.

    Returns:
        A sentence with counts and examples; nothing where all is used.
    """
    read = set(used)
    beside = [path for path in list_videos(folder) if path not in read]
    videos = {path.with_suffix("") for path in read}
    passed: dict[str, list[str]] = {
        "videos that the table does not name": [path.name for path in beside],
        "videos in sub-folders": [],
        "files of other formats": [],
        "images": [],
        "hidden videos": [],
        "captions without a video": [],
    }
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.is_dir():
            continue
        if path.name.startswith("."):
            if suffix in VIDEO_SUFFIXES:
                passed["hidden videos"].append(path.name)
        elif suffix in VIDEO_SUFFIXES:
            continue
        elif suffix in OTHER_VIDEOS:
            passed["files of other formats"].append(path.name)
        elif suffix in IMAGES:
            passed["images"].append(path.name)
        elif suffix == ".txt" and path.with_suffix("") not in videos:
            passed["captions without a video"].append(path.name)
    passed["videos in sub-folders"] = [
        str(path.relative_to(folder))
        for path in videos_below(folder)
        if path not in read
    ]
    said = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
        for what, names in passed.items()
        if names
    ]
    return [f"passed over in {folder}: {'; '.join(said)}"] if said else []


def videos_below(folder: Path) -> list[Path]:
    """List the videos in the sub-folders of a folder.

    Args:
        folder: The folder; of a very large one, a part is looked at.

    Returns:
        The videos, of known suffixes, hidden folders left out.
    """
    found, seen = [], 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen += len(files)
        if seen > MOST_ENTRIES:
            break
        if Path(place) == folder:
            continue
        found += [
            Path(place) / name
            for name in sorted(files)
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")
        ]
    return found


def refuse_without_videos(folder: Path) -> None:
    """Refuse a folder that holds no videos itself; say where some are.

    Args:
        folder: The folder.

    Raises:
        InputError: If it holds none.
    """
    if list_videos(folder):
        return
    below = Counter(path.parent for path in videos_below(folder))
    if below:
        places = ", ".join(f"{place} ({n})" for place, n in sorted(below.items())[:3])
        raise InputError(
            f"{folder}: holds no videos itself, but its sub-folders do: {places}; give"
            " one of them, or a manifest of all"
        )
    raise InputError(
        f"{folder}: holds no videos ({', '.join(VIDEO_SUFFIXES)}); give another folder,"
        " a manifest or synthetic:N"
    )
