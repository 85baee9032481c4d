"""The journal of a scoring run: one JSON line per clip, written when it is scored.

A killed run resumes after the last complete line. A clip whose file has changed is
scored again. Memory holds only the file offset of each line, so millions of clips fit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import CURE
from tqd_probe.core.locks import lock_file
from tqd_probe.scoring.score_row import ScoreRow
from tqd_probe.scoring.tasks import Task

FORMAT = "tqd-score-journal"


class Journal:
    """Results of a scoring run on disk; the file is locked while open.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, scoring: dict[str, Any], overwrite: bool = False):
        """Open or begin a journal.

        Args:
            path: The file.
            scoring: Everything the scores depend on. A journal with other settings is
                refused.
            overwrite: Start over instead of refusing.

        Raises:
            ConfigurationChanged: If the journal was written with other settings.
            InputError: If it cannot be written, or another process has it open.
        """
        self.path = path
        self._places: dict[str, tuple[int, str]] = {}
        header = {"format": FORMAT, "version": 1, "scoring": scoring}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+b")  # noqa: SIM115 - open until closed
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}); choose another --out"
            ) from error
        if not lock_file(self._file, path):
            self._file.close()
            raise InputError(
                f"{path}: another process is scoring into it; wait for it, or use"
                " another --out"
            )
        try:
            self._load(header, overwrite)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        """Return the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file and give up the lock."""
        with suppress(OSError):  # what could not be written was said
            self._file.close()

    def has(self, task: Task) -> bool:
        """Return whether a clip has a result for its file as it is now.

        Args:
            task: The clip.

        Returns:
            False for a clip that is new or whose file has changed.
        """
        place = self._places.get(task.video)
        return place is not None and place[1] == task.stamp()

    def add(self, task: Task, result: dict[str, Any]) -> None:
        """Write the result of a clip.

        Args:
            task: The clip.
            result: What `score_clip` gives.
        """
        stamp = task.stamp()
        line = json.dumps({"video": task.video, "stamp": stamp, **result})
        self._places[task.video] = (self._append(line), stamp)

    def rows(self, tasks: Iterable[Task], folder: Path) -> Iterator[ScoreRow]:
        """Read the scores of clips in the order of the source.

        Args:
            tasks: The clips.
            folder: Where relative names start: that of the output.

        Yields:
            One clip at a time, without bad ones.
        """
        for task in tasks:
            for found in self._parts(task):
                if "bad" not in found:
                    yield ScoreRow(
                        video=relative_name(found.get("video", task.video), folder),
                        mq=found["mq"],
                        vq=found["vq"],
                        components=found["components"],
                        caption=task.caption,
                        source=task.source,
                        repeats=task.repeats,
                    )

    def bad(self, tasks: Iterable[Task]) -> Iterator[tuple[str, str]]:
        """Read the clips that could not be scored.

        Args:
            tasks: The clips.

        Yields:
            Video and reason.
        """
        for task in tasks:
            for found in self._parts(task):
                if "bad" in found:
                    yield found.get("video", task.video), found["bad"]

    def interlaced(self, tasks: Iterable[Task]) -> Iterator[str]:
        """Read the clips that look interlaced and are not marked as such.

        Args:
            tasks: The clips.

        Yields:
            Video.
        """
        for task in tasks:
            for found in self._parts(task):
                if found.get("interlaced"):
                    yield found.get("video", task.video)

    def result(self, task: Task) -> dict[str, Any]:
        """Read the result of one clip.

        Args:
            task: A clip that was scored.

        Returns:
            What `score_clip` gave.
        """
        self._file.seek(self._places[task.video][0])
        return dict(json.loads(self._file.readline()))

    def _parts(self, task: Task) -> list[dict[str, Any]]:
        """Return the result of a clip, or those of its scenes."""
        found = self.result(task)
        return list(found["scenes"]) if "scenes" in found else [found]

    def _load(self, header: dict[str, Any], overwrite: bool) -> None:
        """Index the lines of the file; truncate a last one that is incomplete.

        Raises:
            ConfigurationChanged: If the header differs.
            InputError: If the file is something else.
        """
        self._file.seek(0)
        first = self._file.readline()
        known = _parsed(first)
        if first and (known is None or known.get("format") != FORMAT) and not overwrite:
            raise InputError(
                f"{self.path}: is not a scoring journal; move it away or use another"
                " --out"
            )
        if first and known != header:
            if not overwrite:
                raise ConfigurationChanged(
                    f"{self.path}: scored with other settings"
                    f" ({_difference(known or {}, header)}); use another --out, or"
                    " --overwrite"
                )
            first = b""
        if not first:
            self._file.truncate(0)
            self._append(json.dumps(header))
            return
        place = self._file.tell()
        for line in self._file:
            entry = _parsed(line)
            if entry is None or not line.endswith(b"\n"):
                break
            self._places[entry["video"]] = (place, entry["stamp"])
            place += len(line)
        self._file.truncate(place)

    def _append(self, line: str) -> int:
        """Append a line and flush it; return its offset."""
        try:
            self._file.seek(0, os.SEEK_END)
            place = self._file.tell()
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); {CURE}"
            ) from error
        return place


def relative_name(video: str, folder: Path) -> str:
    """Return the name of a video in the score table.

    Args:
        video: Path of the video, or a synthetic clip's name.
        folder: Folder of the output.

    Returns:
        The path relative to that folder, as a manifest there needs it.
    """
    if video.startswith("synthetic:"):
        return video
    return os.path.relpath(video, folder)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None for an incomplete line."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _difference(known: dict[str, Any], wanted: dict[str, Any]) -> str:
    """List the settings that differ, three at most."""
    old, new = known.get("scoring", {}), wanted["scoring"]
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return "; ".join(
        f"{name} was {old.get(name)}, now {new.get(name)}" for name in names[:3]
    )
