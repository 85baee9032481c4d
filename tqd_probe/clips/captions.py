"""Captions in text files of the same name beside their videos."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.core.errors import InputError


def caption_path(video: Path) -> Path:
    """Return where the caption of a video is looked for.

    Args:
        video: The video file.

    Returns:
        The text file of the same name.
    """
    return video.with_suffix(".txt")


def read_caption(video: Path) -> str:
    """Return the caption of a video.

    Args:
        video: The video file.

    Returns:
        The words in the text file of the same name, blanks collapsed.

    Raises:
        InputError: If there is none.
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
