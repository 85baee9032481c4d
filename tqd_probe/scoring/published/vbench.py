"""VBench's results: one JSON object, a list of videos per dimension.

``{"dynamic_degree": [mean, [{"video_path": ..., "video_results": ...}, ...]], ...}``.
Dimensions are joined by the video's path, so the whole file is in memory. It has one
entry per generated video and is small.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqd_probe.clips.column_names import ALIASES, column_key
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
from tqd_probe.core.text_files import open_text

REMARK = "VBench's dynamic degree is yes or no per video, an amount of motion"
MQ = ("dynamic_degree", "motion_smoothness")
VQ = ("imaging_quality", "aesthetic_quality")


def is_vbench(path: Path) -> bool:
    """Return whether a JSON file holds VBench's results: an object of dimensions.

    Args:
        path: The file.

    Returns:
        False for lists and for objects of another form.
    """
    with open_text(path) as handle:
        start = handle.read(4096).lstrip()
    if not start.startswith("{"):
        return False
    value = read_json(path, "VBench's results, or a list of objects", allow_nan=True)
    return any(isinstance(entry, list) for entry in value.values())


def columns(
    path: Path, mq: str | None, vq: str | None
) -> tuple[str | None, str | None]:
    """Choose the dimensions to use as motion and visual score.

    Args:
        path: The file.
        mq: Dimension the user named for the motion score.
        vq: Dimension the user named for the visual score.

    Returns:
        Names of the two, None where there is none.

    Raises:
        InputError: If a named one is missing, or there is none at all.
    """
    present = list(_read(path))
    for wanted in (mq, vq):
        if wanted is not None and wanted not in present:
            raise InputError(
                f"{path}: dimension {wanted!r}: not there; found {', '.join(present)}"
            )
    mq = mq or next((name for name in MQ if name in present), None)
    vq = vq or next((name for name in VQ if name in present), None)
    if mq is None and vq is None:
        raise InputError(
            f"{path}: no dimension for a score; found: {', '.join(present)}; known:"
            f" {', '.join((*MQ, *VQ))}; name others with --mq-column, --vq-column"
        )
    return mq, vq


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one row per video with its results by dimension.

    Args:
        path: The file.

    Yields:
        Place and cells; a yes or no becomes 1 or 0.

    Raises:
        InputError: If an entry is at fault or a video appears twice.
    """
    videos: dict[str, dict[str, Any]] = {}
    for dimension, results in _read(path).items():
        for number, result in enumerate(results, 1):
            place = f"{dimension} {number}"
            video = result.get("video_path") if isinstance(result, dict) else None
            if not isinstance(video, str) or "video_results" not in result:
                raise InputError(
                    f"{path}: {place}: needs video_path and video_results; write"
                    " VBench's full results"
                )
            value = result["video_results"]
            cells = videos.setdefault(video, {"video": video, "place": place})
            if dimension in cells:
                raise InputError(
                    f"{path}: {place}: video_path: {video} is there twice; keep one"
                )
            cells[dimension] = int(value) if isinstance(value, bool) else value
    for cells in videos.values():
        yield cells.pop("place"), cells


def _read(path: Path) -> dict[str, list[Any]]:
    """Return the videos of each dimension.

    Raises:
        InputError: If the file has another form.
    """
    value = read_json(path, "VBench's results", allow_nan=True)
    found = {}
    for dimension, entry in value.items():
        if (
            not isinstance(entry, list)
            or len(entry) != 2
            or not isinstance(entry[1], list)
        ):
            known = ", ".join((*ALIASES["mq"], *ALIASES["vq"]))
            raise InputError(
                f"{path}: {dimension}: is not [mean, [videos]] as VBench writes it;"
                f" give its results file, or a list of objects with one of {known}"
            )
        found[column_key(dimension)] = entry[1]
    return found
