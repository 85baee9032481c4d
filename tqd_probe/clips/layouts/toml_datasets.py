"""Datasets in TOML: ``[[directory]]`` of diffusion-pipe, ``[[datasets]]`` of musubi.

diffusion-pipe: https://github.com/tdrussell/diffusion-pipe/blob/main/examples/dataset.toml
musubi-tuner: https://github.com/kohya-ss/musubi-tuner/blob/main/docs/dataset_config.md
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tqd_probe.clips.layouts.captions_json import CAPTIONS_FILE, read_captions
from tqd_probe.clips.layouts.datasets import (
    Layout,
    read_repeats,
    resolve_folder,
    videos_of,
)
from tqd_probe.clips.tables import iterate_table
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import expand_home, find_file
from tqd_probe.core.structured_text import parse_structured
from tqd_probe.core.text_files import read_text

KNOWN = "[[directory]] (diffusion-pipe) or [[datasets]] (musubi-tuner)"


def read_toml(path: Path) -> Layout:
    """Read a TOML file of datasets.

    Args:
        path: The file.

    Returns:
        Its clips.

    Raises:
        InputError: If it is no TOML, or describes no videos.
    """
    try:
        value = parse_structured(read_text(path), ".toml")
    except ValueError as error:
        raise InputError(f"{path}: is not TOML ({error}); correct it") from None
    if isinstance(value.get("directory"), list):
        layout = _diffusion_pipe(path, value)
    elif isinstance(value.get("datasets"), list):
        layout = _musubi(path, value)
    elif isinstance(value.get("dataset"), str):
        raise InputError(
            f"{path}: is a configuration that names its data; give {value['dataset']}"
        )
    else:
        raise InputError(f"{path}: holds neither {KNOWN}; give a file of one of these")
    if not layout.rows:
        raise InputError(
            f"{path}: {'; '.join(layout.notes) or 'names no videos'}; add videos"
        )
    return layout


def _diffusion_pipe(path: Path, value: dict[str, Any]) -> Layout:
    """Read diffusion-pipe's directories of videos."""
    layout = Layout("diffusion-pipe")
    unused = set(value) - {"directory", "num_repeats"}
    for number, entry in enumerate(_entries(path, value["directory"]), 1):
        place = f"[[directory]] {number}"
        unused |= set(entry) - {"path", "num_repeats"}
        folder = resolve_folder(path, f"{place}: path", entry.get("path"))
        repeats = read_repeats(
            path,
            f"{place}: num_repeats",
            entry.get("num_repeats", value.get("num_repeats", 1)),
        )
        known = folder / CAPTIONS_FILE
        captions = read_captions(known) if known.is_file() else {}
        for video in videos_of(path, place, folder, layout):
            caption = captions.get(video.name) or video.with_suffix(".txt")
            layout.add(f"{place}: {video.name}", video, caption, repeats)
    layout.unused(unused)
    return layout


def _musubi(path: Path, value: dict[str, Any]) -> Layout:
    """Read musubi-tuner's datasets of videos; those of images are passed over."""
    layout = Layout("musubi-tuner")
    general = value.get("general", {})
    ours = {"video_directory", "video_jsonl_file", "num_repeats", "caption_extension"}
    unused = {key for key in general if key not in ours}
    for number, entry in enumerate(_entries(path, value["datasets"]), 1):
        place = f"[[datasets]] {number}"
        unused |= set(entry) - ours
        if "video_directory" not in entry and "video_jsonl_file" not in entry:
            layout.notes.append(f"{place}: holds no videos, passed over")
            continue
        settings = {**general, **entry}
        repeats = read_repeats(
            path, f"{place}: num_repeats", settings.get("num_repeats", 1)
        )
        if "video_jsonl_file" in entry:
            named = Path(str(entry["video_jsonl_file"]))
            _add_jsonl(path, place, named, repeats, layout)
            continue
        folder = resolve_folder(
            path, f"{place}: video_directory", entry["video_directory"]
        )
        suffix = str(settings.get("caption_extension", ".txt"))
        for video in videos_of(path, place, folder, layout):
            caption = video.with_name(video.stem + suffix)
            layout.add(f"{place}: {video.name}", video, caption, repeats)
    layout.unused(unused - {"image_directory", "image_jsonl_file"})
    return layout


def _add_jsonl(
    path: Path, place: str, named: Path, repeats: float, layout: Layout
) -> None:
    """Add the clips of a JSONL file; paths start at the working directory, or there."""
    named = expand_home(named)
    table = next((f for f in (named, path.parent / named) if f.is_file()), None)
    if table is None:
        raise InputError(f"{path}: {place}: {named}: no such file; correct the path")
    unused: set[str] = set()
    for line, cells in iterate_table(table):
        video = cells.get("video_path")
        if not isinstance(video, str) or not video:
            raise InputError(f"{table}: {line}: video_path: missing; add it")
        unused |= set(cells) - {"video_path", "caption"}
        name = expand_home(Path(video))
        here = find_file(name)
        if not here.is_file():
            here = find_file(Path(os.path.normpath(table.parent / name)))
        caption = cells.get("caption")
        layout.add(f"{table.name}: {line}", here, caption, repeats)
    layout.unused(unused)


def _entries(path: Path, value: list[Any]) -> list[dict[str, Any]]:
    """Return the tables of an array of tables.

    Raises:
        InputError: If an entry is none.
    """
    for entry in value:
        if not isinstance(entry, dict):
            raise InputError(f"{path}: holds {entry!r} among its datasets; correct it")
    return value
