"""Captions in text files of the same name, beside their videos."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.core.errors import InputError


def caption_path(video: Path) -> Path:
    """Return the text file that holds the caption of a video.

    Args:
        video: The video file.

    Returns:
        The path with suffix ``.txt``; it may not exist.
    """
    return video.with_suffix(".txt")


def read_caption(video: Path) -> str:
    """Return the caption of a video.

    Args:
        video: The video file.

    Returns:
        The text of that file, runs of white space made one blank.

    Raises:
        InputError: If the file is missing, empty or not UTF-8.
    """
    path = caption_path(video)
    try:
        caption = " ".join(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        raise InputError(
            f"{path}: caption: no such file; write one sentence about {video.name} in"
            " it or use a manifest"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: caption: cannot be read ({error}); write it as UTF-8 text"
        ) from error
    if not caption:
        raise InputError(
            f"{path}: caption: is empty; write one sentence about {video.name}"
        )
    return caption
