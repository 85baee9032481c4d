"""Captions in text files of the same name, beside their videos."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import find_file
from tqd_probe.core.text_files import read_text


def caption_path(video: Path) -> Path:
    """Return the text file that holds the caption of a video.

    Args:
        video: The video file.

    Returns:
        The path with suffix ``.txt``; it may not exist.
    """
    return video.with_suffix(".txt")


def read_caption(video: Path) -> str:
    """Return the caption of a video, from the text file of its name.

    Args:
        video: The video file.

    Returns:
        The text of that file, runs of white space made one blank.

    Raises:
        InputError: If the file is missing, empty, or not text of a known encoding.
    """
    return read_caption_file(caption_path(video), video.name)


def read_caption_file(path: Path, name: str) -> str:
    """Return the caption in a text file.

    Args:
        path: The text file.
        name: Name of the video, for messages.

    Returns:
        The text of that file, runs of white space made one blank.

    Raises:
        InputError: If the file is missing, empty, or not text of a known encoding.
    """
    path = find_file(path)
    try:
        caption = " ".join(read_text(path).split())
    except FileNotFoundError:
        raise InputError(
            f"{path}: caption: no such file; write one sentence about {name} in it or"
            " use a manifest"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: caption: cannot be read ({error.strerror}); write it as UTF-8"
            " text"
        ) from error
    except InputError as error:
        raise InputError(
            str(error).replace(f"{path}: ", f"{path}: caption: ", 1)
        ) from None
    if not caption:
        raise InputError(f"{path}: caption: is empty; write one sentence about {name}")
    return caption
