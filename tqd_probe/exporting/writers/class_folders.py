"""Folders of clips by class: links to the videos, captions beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tqd_probe.clips.manifest import ManifestRow


def link_clips(clips: list[ManifestRow], folder: Path, as_json: bool = False) -> None:
    """Make a folder with a link to each video and a file with its caption.

    Args:
        clips: The clips.
        folder: The folder; made here.
        as_json: Whether captions are JSON, ``{"caption": ...}``, and not plain text.
    """
    folder.mkdir(parents=True)
    for name, row in zip(distinct_names(clips), clips):
        os.symlink(row.video.resolve(), folder / name)
        caption = folder / Path(name).with_suffix(".json" if as_json else ".txt")
        text = row.caption
        if as_json:
            text = json.dumps({"caption": row.caption}, ensure_ascii=False)
        caption.write_text(text + "\n", encoding="utf-8")


def distinct_names(clips: list[ManifestRow]) -> list[str]:
    """Return a file name for each clip, with a number where a stem comes again."""
    found: list[str] = []
    seen: set[str] = set()
    for row in clips:
        stem, number = row.video.stem, 1
        while stem in seen:
            number += 1
            stem = f"{row.video.stem}-{number}"
        seen.add(stem)
        found.append(stem + row.video.suffix)
    return found


def write_rows(path: Path, rows: list[dict]) -> None:
    """Write objects as JSONL.

    Args:
        path: The file.
        rows: The objects.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
