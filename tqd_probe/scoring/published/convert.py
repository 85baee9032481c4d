"""Convert a published score file to a score table of this package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import beside, refuse_other_kinds
from tqd_probe.scoring.published.score_file import ScoreFile, open_scores
from tqd_probe.scoring.score_columns import collect_scores
from tqd_probe.scoring.score_row import ScoreRow
from tqd_probe.scoring.score_table import ClassificationRule, check_out, write_scores

# Means and standard deviations of VideoAlign's raw rewards, from the configuration of
# its released weights. Normalised rewards have mean 0 and deviation 1.
RAW = {"VQ": (3.6757, 2.2476), "MQ": (1.1646, 1.3811)}


def convert(
    path: Path,
    out: Path,
    how: ClassificationRule,
    columns: dict[str, str | None],
    scale: str | None = None,
    videos: Path | None = None,
    max_bad: int = 0,
    quiet: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Convert a published score file; it is read row by row, twice.

    Args:
        path: The file.
        out: The table to write.
        how: Normalisation and thresholds.
        columns: Columns the user named, by ``video``, ``mq``, ``vq``.
        scale: ``raw`` or ``normalised`` where the user knows (VideoAlign).
        videos: Folder of the videos, put before their names.
        max_bad: Rows that may be left out.
        quiet: No progress bar.

    Returns:
        The summary, and the reasons of rows left out.

    Raises:
        InputError: If the format is not known, or the file is at fault or empty.
    """
    check_out(out)
    if path.resolve() == out.resolve():
        raise InputError(f"--out {out}: is the file that is read; choose another")
    if not path.exists():
        raise InputError(f"--from {path}: no such file; correct the path")
    refuse_other_kinds(path, {"table", "folder"}, lambda kind: _instead_of(path, kind))
    if videos is not None and not videos.is_dir():
        if videos.exists():
            raise InputError(
                f"--videos {videos}: no folder; give that of the videos that {path}"
                " names"
            )
        print(f"warning: --videos {videos}: no such folder yet", file=sys.stderr)
    file = open_scores(path, columns.get("video"), columns.get("mq"), columns.get("vq"))
    bad: list[str] = []

    def rows() -> Iterator[ScoreRow]:
        bad.clear()
        for row in tqdm(file.rows(bad, max_bad), unit="row", disable=quiet):
            if videos is not None:
                named = os.path.relpath(videos / row.video, out.parent)
                row = replace(row, video=named)
            yield row

    about = {
        "from": str(path),
        "published_as": file.format,
        "mq_column": file.mq,
        "vq_column": file.vq,
        "remark": file.remark or None,
        **_scale(file, scale, max_bad),
    }
    none = file.mq is None and file.vq is None  # Panda-70M
    summary = write_scores(rows, out, how, str(path), about, unscored=none)
    return summary, bad


def _instead_of(path: Path, kind: str) -> str:
    """Say what to give instead of a file that holds no published scores."""
    if kind in ("summary", "journal"):
        stem = path.name.partition(f".{kind}")[0]
        table = beside(path, f"{stem}.csv") or beside(path, f"{stem}.jsonl")
        return f"give {table}" if table else "give the table that score wrote"
    return "give scores that --help of --from lists, or a table with columns mq and vq"


def _scale(file: ScoreFile, stated: str | None, max_bad: int) -> dict[str, Any]:
    """Return the scale of the scores, where a publisher uses several.

    Returns:
        Fields of the summary.

    Raises:
        InputError: If a scale is given for scores that have only one.
    """
    if file.format == "dover":
        best = max((row.vq or 0 for row in file.rows(max_bad=max_bad)), default=0)
        return {"scale": "0 to 100" if best > 1 else "0 to 1", "scale_from": "values"}
    if file.format != "videoalign":
        if stated:
            raise InputError(
                f"--scale {stated}: belongs to VideoAlign's rewards, and {file.path} is"
                f" {file.format}; leave it out"
            )
        return {}
    if stated:
        return {"scale": stated, "scale_from": "option"}
    scores = collect_scores(file.rows(max_bad=max_bad))
    distance = {"raw": 0.0, "normalised": 0.0}
    for name, column in (("VQ", "vq"), ("MQ", "mq")):
        values = scores.present(column)
        if len(values):
            middle = float(np.median(values))
            mean, deviation = RAW[name]
            distance["raw"] += abs(middle - mean) / deviation
            distance["normalised"] += abs(middle)
    return {"scale": min(distance, key=distance.__getitem__), "scale_from": "medians"}
