"""Write the score table, one row per clip, and its summary.

Columns: ``video, mq, vq`` (in [0, 1]), ``mq_raw, vq_raw`` (as measured or published),
``components`` (JSON) and ``class``; ``caption``, ``source`` and ``repeats`` follow
where they are known, so that the table is a manifest.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import CLASSES, classify
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged, write_json
from tqd_probe.core.version import __version__
from tqd_probe.scoring.normalise import Scale, fit_scale
from tqd_probe.scoring.score_columns import collect_scores, refuse_repeated_clips
from tqd_probe.scoring.score_row import ScoreRow
from tqd_probe.scoring.thresholds import Threshold

COLUMNS = ("video", "mq", "vq", "mq_raw", "vq_raw", "components", "class")
EXTRA_COLUMNS = ("caption", "source", "repeats")
SUFFIXES = (".csv", ".jsonl")
FORMAT = "tqd-scores"
DECIMALS = 6
BLOCK = 256  # rows normalised at a time
Rows = Callable[[], Iterator[ScoreRow]]


@dataclass(frozen=True)
class ClassificationRule:
    """How scores are normalised to [0, 1] and clips classified.

    Attributes:
        normalise: One of ``quantile``, ``minmax``, ``logistic``, ``none``.
        mq_min: Motion quality from here on is good.
        vq_min: Visual quality from here on is good.
    """

    normalise: str
    mq_min: Threshold
    vq_min: Threshold


def check_out(out: Path) -> None:
    """Refuse an output path that cannot be written, before any work is done.

    Args:
        out: The file to write.

    Raises:
        InputError: If its suffix is not known or it is a folder.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"--out {out}: suffix {out.suffix!r} is not known; use one of"
            f" {', '.join(SUFFIXES)}"
        )
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; give a file")


def summary_path(out: Path) -> Path:
    """Return the path of the summary: how the scores were made.

    Args:
        out: The score table.

    Returns:
        ``scores.summary.json`` beside ``scores.csv``.
    """
    return out.with_suffix(".summary.json")


def write_scores(
    rows: Rows,
    out: Path,
    how: ClassificationRule,
    where: str,
    about: dict[str, Any],
    unscored: bool = False,
) -> dict[str, Any]:
    """Normalise, classify and write clips; rows are read twice and not kept.

    Args:
        rows: Reads the clips, from the start at each call.
        out: The table, .csv or .jsonl.
        how: Normalisation and thresholds.
        where: Source of the rows, for messages.
        about: Further entries of the summary.
        unscored: Accept a table in which no clip has a score.

    Returns:
        The content of the summary.

    Raises:
        InputError: If there are no rows or no scores, a clip appears twice, or a column
            cannot be normalised.
    """
    check_out(out)
    known: set[str] = set()
    columns = collect_scores(_note_columns(rows(), known))
    scored = len(columns.present("mq")) + len(columns.present("vq"))
    if not len(columns.mq) or not (scored or unscored):
        raise InputError(f"{where}: no clip has a score; fill in mq or vq")
    refuse_repeated_clips(columns, rows, where)
    scales: dict[str, Scale] = {}
    limits: dict[str, float] = {}
    notes: dict[str, Any] = {}
    for field, threshold in (("mq", how.mq_min), ("vq", how.vq_min)):
        values = columns.present(field)
        if not len(values):
            continue
        scale = fit_scale(how.normalise, values, f"{where}: {field}")
        scales[field] = scale
        limits[field] = threshold.resolve(scale.apply(values))
        notes[field] = scale.describe(values)
        notes[field]["threshold"] = round(limits[field], DECIMALS)
        notes[field]["threshold_is_quantile"] = threshold.quantile
    counts: Counter[str] = Counter()
    header = (*COLUMNS, *(name for name in EXTRA_COLUMNS if name in known))
    with staged(out) as part, open(part, "w", encoding="utf-8", newline="") as handle:
        table = csv.DictWriter(handle, header, lineterminator="\n")
        if out.suffix.lower() == ".csv":
            table.writeheader()
        for record in _records(rows(), scales, limits):
            counts[record["class"]] += 1
            if out.suffix.lower() == ".csv":
                record["components"] = json.dumps(record["components"], sort_keys=True)
                table.writerow({name: _cell(record[name]) for name in header})
            else:
                line = {name: record[name] for name in header}
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
    summary = {
        "format": FORMAT,
        "version": 1,
        "tool_version": __version__,
        **about,
        "clips": len(columns.mq),
        "normalisation": how.normalise,
        "columns": notes,
        "classes": {name: counts[name] for name in CLASSES},
        "unclassified": counts[""],
    }
    write_json(summary_path(out), summary)
    return summary


def _note_columns(rows: Iterator[ScoreRow], known: set[str]) -> Iterator[ScoreRow]:
    """Pass rows on and record which optional columns they fill."""
    for row in rows:
        if row.caption:
            known.add("caption")
        if row.source:
            known.add("source")
        if row.repeats != 1:
            known.add("repeats")
        yield row


def _records(
    rows: Iterator[ScoreRow], scales: dict[str, Scale], limits: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table, normalised a block at a time."""
    while block := list(islice(rows, BLOCK)):
        scores: dict[str, list[float | None]] = {}
        for field in ("mq", "vq"):
            raw = [getattr(row, field) for row in block]
            scores[field] = raw
            if field in scales:
                values = np.array([math.nan if x is None else x for x in raw])
                found = scales[field].apply(values).tolist()
                scores[field] = [None if x is None else y for x, y in zip(raw, found)]
        for row, mq, vq in zip(block, scores["mq"], scores["vq"]):
            name = ""
            if mq is not None and vq is not None:
                name = classify(mq, vq, limits["mq"], limits["vq"])
            yield {
                "video": row.video,
                "mq": _rounded(mq),
                "vq": _rounded(vq),
                "mq_raw": row.mq,
                "vq_raw": row.vq,
                "components": row.components,
                "class": name,
                "caption": row.caption,
                "source": row.source,
                "repeats": row.repeats,
            }


def _rounded(value: float | None) -> float | None:
    """Return a score to six decimals."""
    return None if value is None else round(value, DECIMALS)


def _cell(value: Any) -> Any:
    """Return a value as a CSV cell: empty for None."""
    return "" if value is None else value
