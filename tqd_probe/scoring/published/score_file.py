"""Read published score files of any known format, row by row."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqd_probe.clips.column_names import ALIASES, EXTRAS, column_key
from tqd_probe.clips.tables import Row, iterate_table
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.published import dover, vbench
from tqd_probe.scoring.published.formats import Columns, recognise
from tqd_probe.scoring.score_row import ScoreRow, parse_name, parse_score, to_json_value

HEAD = 64  # rows read to find the columns
KEPT = {*EXTRAS, *ALIASES["mq"], *ALIASES["vq"]} - {"mq", "vq"}
STATISTICS = "__dj__stats__"  # Data-Juicer's own column


@dataclass(frozen=True)
class ScoreFile:
    """A score file that was recognised; each iteration reads the rows again.

    Attributes:
        path: The file or folder.
        format: Name of its published format.
        mq: Column of the motion score, None where there is none.
        vq: Column of the visual score, None where there is none.
        remark: What a user should know about these scores; may be empty.
        columns: The columns of a table; None for files that are not tables.
    """

    path: Path
    format: str
    mq: str | None
    vq: str | None
    remark: str
    columns: Columns | None = None

    def rows(
        self, bad: list[str] | None = None, max_bad: int = 0
    ) -> Iterator[ScoreRow]:
        """Read the clips with their scores.

        Args:
            bad: The reasons of rows left out are appended here.
            max_bad: How many rows may be left out.

        Yields:
            One clip at a time.

        Raises:
            InputError: If more rows than `max_bad` are at fault; names file, place,
                column and cure.
        """
        bad = [] if bad is None else bad
        for place, cells in self._parts():
            try:
                yield self._scored(place, cells)
            except InputError as error:
                bad.append(f"{self.path}: {place}: {error}")
                if len(bad) > max_bad:
                    more = f" ({len(bad)} bad rows, --max-bad {max_bad})"
                    raise InputError(bad[-1] + (more if max_bad else "")) from None

    def _parts(self) -> Iterator[Row]:
        """Yield the place and cells of each clip."""
        if self.format == "vbench":
            yield from vbench.rows(self.path)
        elif self.path.suffix.lower() == ".txt":
            yield from dover.rows(self.path)
        else:
            per_video = self.columns is not None and self.columns.format.per_video
            for place, cells in iterate_table(self.path):
                flat = flatten(cells)
                yield from (
                    _expand(self.path, place, flat) if per_video else [(place, flat)]
                )

    def _scored(self, place: str, cells: dict[str, Any]) -> ScoreRow:
        """Return one clip.

        Raises:
            InputError: If a cell is at fault.
        """
        where = self.columns
        video = where.video if where else "video"
        used = {video, self.mq, self.vq}
        kept = {
            key: to_json_value(cell)
            for key, cell in cells.items()
            if key not in used
            and column_key(key) in KEPT
            and not isinstance(cell, dict)
        }
        caption = cells.get(where.caption) if where and where.caption else None
        source = cells.get(where.source) if where and where.source else None
        return ScoreRow(
            video=parse_name(cells.get(video), video),
            mq=parse_score(cells.get(self.mq), self.mq) if self.mq else None,
            vq=parse_score(cells.get(self.vq), self.vq) if self.vq else None,
            components=kept,
            place=place,
            caption=str(caption).strip() or None if caption is not None else None,
            source=str(source).strip() or None if source is not None else None,
        )


def open_scores(
    path: Path,
    video_column: str | None = None,
    mq_column: str | None = None,
    vq_column: str | None = None,
) -> ScoreFile:
    """Recognise a score file.

    Args:
        path: CSV, JSON, JSONL or Parquet table, DOVER's .txt, VBench's .json, or a
            folder of .json files (NeMo Curator).
        video_column: Column of the clip's name, where it is not a known one.
        mq_column: Column to take as motion score.
        vq_column: Column to take as visual score.

    Returns:
        The file, ready to be read.

    Raises:
        InputError: If it is missing, damaged, empty or of no known format; the message
            lists the columns found and those known.
    """
    chosen = {"video": video_column, "mq": mq_column, "vq": vq_column}
    if path.suffix.lower() == ".txt":
        columns = ["video", "technical score"]
        return ScoreFile(path, "dover", None, columns[1], "DOVER judges no motion")
    if path.suffix.lower() == ".json" and path.is_file() and vbench.is_vbench(path):
        mq, vq = vbench.columns(path, mq_column, vq_column)
        return ScoreFile(path, "vbench", mq, vq, vbench.REMARK)
    names: dict[str, None] = {}
    for count, (_, cells) in enumerate(iterate_table(path), 1):
        names |= dict.fromkeys(flatten(cells))
        if count == HEAD:
            break
    if not names:
        raise InputError(f"{path}: holds no rows; {dover.hint(path)}add one per clip")
    try:
        where = recognise(list(names), chosen)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return ScoreFile(path, where.format.name, where.mq, where.vq, where.remark, where)


def flatten(cells: dict[str, Any]) -> dict[str, Any]:
    """Flatten nested objects: NeMo Curator and Data-Juicer nest their statistics.

    Args:
        cells: A row; objects may also be JSON text.

    Returns:
        ``{"motion_score": {"global_mean": 1}}`` as ``{"motion_score_global_mean": 1}``;
        Data-Juicer's statistics under their own names.
    """
    flat: dict[str, Any] = {}
    for key, cell in cells.items():
        if key == STATISTICS and isinstance(cell, str):
            try:
                cell = json.loads(cell)
            except json.JSONDecodeError:
                cell = {key: cell}
        if not isinstance(cell, dict):
            flat[key] = cell
        elif key == STATISTICS:
            flat |= cell
        else:  # keep the object too: read as a score, it is an error
            flat[key] = cell
            flat |= {f"{key}_{inner}": value for inner, value in cell.items()}
    return flat


def _expand(path: Path, place: str, cells: dict[str, Any]) -> Iterator[Row]:
    """Yield one row per clip from a row whose cells are lists with one entry per clip.

    Raises:
        InputError: If the lists differ in length.
    """
    lists = {key: _list(cell) for key, cell in cells.items()}
    lengths = {key: len(cell) for key, cell in lists.items() if cell is not None}
    single = "videoID" if "videoID" in cells else None
    counts = set(lengths.values())
    if not counts:
        yield place, cells
        return
    if len(counts) > 1:
        shown = ", ".join(f"{key}: {length}" for key, length in lengths.items())
        raise InputError(
            f"{path}: {place}: its lists differ in length ({shown}); they must hold one"
            " value per clip"
        )
    for index in range(counts.pop()):
        row = {k: cells[k] if v is None else v[index] for k, v in lists.items()}
        if single:  # clips of one video have no names of their own
            row[single] = f"{cells[single]}_{index}"
        yield f"{place}, clip {index + 1}", row


def _list(cell: Any) -> list[Any] | None:
    """Return the list in a cell, as a list or as its text; else None."""
    if isinstance(cell, str) and cell.startswith("[") and cell.endswith("]"):
        try:
            cell = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return list(cell) if isinstance(cell, (list, tuple)) else None
