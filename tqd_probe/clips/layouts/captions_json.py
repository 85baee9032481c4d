"""Captions in one JSON object by file name, as diffusion-pipe has them.

``{"a.mp4": ["a dog runs"], "b.mp4": "a cat"}``; an object with a caption is accepted,
too. Of several captions the first is taken.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tqd_probe.clips.column_names import ALIASES, column_key
from tqd_probe.clips.layouts.datasets import Layout
from tqd_probe.clips.video import VIDEO_SUFFIXES
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import find_file
from tqd_probe.core.files import read_json

CAPTIONS_FILE = "captions.json"
FORM = 'an object of captions by file name, {"a.mp4": ["..."]}'


def is_captions(value: Any) -> bool:
    """Return whether a JSON value gives captions by file name.

    Args:
        value: Content of the file.

    Returns:
        True for an object whose keys name files and whose values hold text.
    """
    return (
        isinstance(value, dict)
        and bool(value)
        and all(Path(key).suffix for key in value)
        and all(_caption(each) is not None for each in value.values())
    )


def read_captions(path: Path) -> dict[str, str]:
    """Read the captions of a folder.

    Args:
        path: The JSON file.

    Returns:
        Captions by file name.

    Raises:
        InputError: If it holds something else.
    """
    value = read_json(path, FORM)
    if not is_captions(value):
        raise InputError(f"{path}: is not {FORM}; correct it")
    return {key: str(_caption(each)) for key, each in value.items()}


def read_caption_object(path: Path, value: dict[str, Any]) -> Layout:
    """Read a file of captions as a table of clips.

    Args:
        path: The file; names are those of files beside it.
        value: Its content, for which `is_captions` holds.

    Returns:
        The clips; entries of images are passed over.
    """
    layout = Layout("diffusion-pipe")
    images = several = 0
    for name, each in value.items():
        if Path(name).suffix.lower() not in VIDEO_SUFFIXES:
            images += 1
            continue
        several += isinstance(each, list) and len(each) > 1
        video = find_file(Path(os.path.normpath(path.parent / name)))
        layout.add(f"key {name!r}", video, _caption(each), 1)
    if images:
        layout.notes.append(f"passed over: {images} entries that are no videos")
    if several:
        layout.notes.append(f"{several} clips have several captions; the first counts")
    return layout


def _caption(value: Any) -> str | None:
    """Return the caption in a value: text, the first of a list, or a key's."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        names = {column_key(key): each for key, each in value.items()}
        found = [names[key] for key in ALIASES["caption"] if key in names]
        value = found[0] if found else None
    return value if isinstance(value, str) else None
