"""How long a trainer's run is, and how often it draws each of its data sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqd_probe.clips.video import VIDEO_SUFFIXES
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import expand_home
from tqd_probe.exporting.configuration_files import (
    Options,
    find_beside,
    get_number,
    get_whole,
    read_configuration,
    read_text,
)
from tqd_probe.exporting.level_distribution import mixture
from tqd_probe.exporting.trainer_format import EVERY, TrainedLevels

SUFFIXES = {*VIDEO_SUFFIXES, ".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class DataSet:
    """A data set of a run.

    Attributes:
        name: Its name: a folder, a table, an identifier.
        clips: Number of its clips; None where they are not on this machine.
        times: Draws of each clip in an epoch: its repeats; the mean over the epochs
            where it is not drawn of in all.
        when: In which epochs it is drawn of, in words; empty for all.
    """

    name: str
    clips: int | None
    times: float = 1.0
    when: str = ""

    @property
    def draws(self) -> float | None:
        """Draws in an epoch; None where they are not known."""
        return None if self.clips is None else self.clips * self.times


@dataclass(frozen=True)
class RunLength:
    """The length of one run.

    Attributes:
        run: Its name in a file with several; empty otherwise.
        epochs: Passes over the data sets; None where steps alone end the run.
        steps: Steps that end the run; None where epochs alone do.
        batch: Clips per step, on one GPU.
        data_sets: Its data sets; none where they are not known.
        missing: File of data sets that is not on this machine; empty otherwise.
    """

    run: str = ""
    epochs: int | None = None
    steps: int | None = None
    batch: int = 1
    data_sets: Sequence[DataSet] = field(default_factory=tuple)
    missing: str = ""

    @property
    def epoch_draws(self) -> float | None:
        """Draws in an epoch; None where they are not known."""
        draws = [each.draws for each in self.data_sets]
        known = [each for each in draws if each is not None]
        return sum(known) if draws and len(known) == len(draws) else None

    @property
    def draws(self) -> float | None:
        """Draws of the run; None where they are not known."""
        ends = []
        if self.steps is not None:
            ends.append(float(self.steps * self.batch))
        if self.epochs is not None:
            if self.epoch_draws is None:
                return None
            ends.append(self.epochs * self.epoch_draws)
        return min(ends) if ends else None

    @property
    def shares(self) -> list[float | None]:
        """Share of the run's draws of each data set; None where it is not known."""
        total = self.epoch_draws
        if len(self.data_sets) == 1:
            return [1.0]
        return [
            each.draws / total if total and each.draws is not None else None
            for each in self.data_sets
        ]

    def text(self) -> str:
        """Return the length in words; empty where nothing is known."""
        parts = []
        if self.epochs is not None:
            parts.append(counted(self.epochs, "epoch"))
        if self.steps is not None:
            parts.append(
                f"{counted(self.steps, 'step')} of {counted(self.batch, 'clip')}"
            )
        words = " or ".join(parts)
        if len(parts) == 2:
            words += ", whichever ends first"
        if self.data_sets:
            epoch = self.epoch_draws
            total = "" if epoch is None else f" of {counted(epoch, 'draw')}"
            if total and any(each.when for each in self.data_sets):
                total += " on average"
            sets = ", ".join(map(set_text, self.data_sets))
            words += f"{'; ' if words else ''}an epoch{total}: {sets}"
        if self.missing:
            said = f"{self.missing} not found here, repeats not read"
            words += f"{'; ' if words else ''}{said}"
        return f"{self.run}: {words}" if self.run and words else words


def set_text(data: DataSet) -> str:
    """Return a data set in words: its clips, and how often each is drawn."""
    size = "clips not found here" if data.clips is None else counted(data.clips, "clip")
    when = f" ({data.when})" if data.when else ""
    return f"{data.name} {size} x {data.times:.3g}{when}"


def counted(count: float, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def by_data_set(whole: TrainedLevels, length: RunLength) -> list[TrainedLevels]:
    """Return the levels of each data set of a run that trains all of them alike.

    Args:
        whole: The levels of the run.
        length: Its length, with the data sets.

    Returns:
        A row for each data set; ``whole`` alone where the run has but one, or where
        the share of one is not known.
    """
    shares = length.shares
    if len(shares) < 2 or None in shares:
        return [whole]
    place = "" if whole.data_set == EVERY else f"{whole.data_set}: "
    return [
        replace(
            whole,
            data_set=f"{place}{each.name}",
            share=None if whole.share is None else share * whole.share,
        )
        for each, share in zip(length.data_sets, shares)
        if share
    ]


def together(trained: Sequence[TrainedLevels]) -> list[TrainedLevels]:
    """Return the levels of all data sets of a network, each weighed by its share.

    Args:
        trained: Levels by data set.

    Returns:
        A row for each network with data sets that differ; none where shares are not
        known, or are those of several runs.
    """
    shares = [each.share for each in trained]
    if None in shares or sum(share or 0 for share in shares) > 1 + 1e-6:
        return []
    found = []
    for expert in dict.fromkeys(each.expert for each in trained):
        rows = [each for each in trained if each.expert == expert]
        if len({each.rule for each in rows}) < 2:
            continue
        levels = mixture([(each.share or 0.0, each.levels) for each in rows])
        share = sum(each.share or 0.0 for each in rows)
        rule = "by the shares of draws"
        found.append(TrainedLevels("together", levels, rule, expert, share))
    return found


def weigh_runs(
    trained: list[list[TrainedLevels]], lengths: Sequence[RunLength]
) -> list[TrainedLevels]:
    """Weigh the levels of several runs by their lengths.

    Args:
        trained: Levels of each run; shares are those of its own draws.
        lengths: Length of each run.

    Returns:
        All levels. Shares are those of all draws where every length is known, and of
        each run's own otherwise.
    """
    draws = [each.draws for each in lengths]
    total = sum(each for each in draws if each is not None)
    if len(trained) > 1 and None not in draws and total:
        trained = [
            [
                each
                if each.share is None
                else replace(each, share=each.share * (own or 0) / total)
                for each in rows
            ]
            for rows, own in zip(trained, draws)
        ]
    return [each for rows in trained for each in rows]


def whole_or_none(options: Options, name: str, path: Path) -> int | None:
    """Return a setting that must be a count; None where it is not set.

    Args:
        options: Settings by name.
        name: Its name.
        path: The file, for the message.
    """
    if options.get(name) is None:
        return None
    return get_whole(options, name, 1, path)


def count_clips(path: Path, value: Any, deep: bool = False) -> int | None:
    """Count the videos and images of a folder that a configuration names.

    Args:
        path: The configuration; a relative folder starts at the working directory, or
            beside it.
        value: Name of the folder.
        deep: Whether its subfolders are read too.

    Returns:
        The count; None where there is no such folder on this machine.
    """
    if not isinstance(value, str) or not value:
        return None
    named = expand_home(Path(value))
    for folder in (named, path.parent / named):
        if folder.is_dir():
            names = [name for _, _, files in os.walk(folder) for name in files]
            if not deep:
                names = os.listdir(folder)
            return sum(
                Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
                for name in names
            )
    return None


def has_videos(path: Path, value: Any) -> bool:
    """Return whether a folder that a configuration names is here and holds videos.

    Args:
        path: The configuration.
        value: Name of the folder.
    """
    if not isinstance(value, str) or not value:
        return False
    named = expand_home(Path(value))
    return any(
        Path(name).suffix.lower() in VIDEO_SUFFIXES
        for folder in (named, path.parent / named)
        if folder.is_dir()
        for _, _, files in os.walk(folder)
        for name in files
    )


def count_rows(path: Path, value: Any) -> int | None:
    """Count the lines of a JSONL file that a configuration names.

    Args:
        path: The configuration.
        value: Name of the file.

    Returns:
        The count of lines that are not blank; None where there is no such file here.
    """
    try:
        table = find_beside(path, str(value or ""))
    except InputError:
        return None
    return sum(bool(line.strip()) for line in read_text(table).splitlines())


def name_of(value: Any) -> str:
    """Return the name of a data set by its folder or table."""
    path = Path(str(value or "data set"))
    return path.stem if path.suffix in (".jsonl", ".json", ".csv") else path.name


def read_data_sets(path: Path, value: Any, key: str) -> tuple[Options, list[Options]]:
    """Read the file of data sets that a configuration names.

    Args:
        path: The configuration.
        value: Name of the file in it.
        key: Name of the array of tables in the file.

    Returns:
        Content of the file and its data sets; both empty where there is no such file
        on this machine, or none is named.

    Raises:
        InputError: If the file is at fault.
    """
    try:
        source = find_beside(path, str(value or ""))
    except InputError:
        return {}, []
    table = read_configuration(source)
    entries = table.get(key)
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{source}: {key}: needs tables, [[{key}]]; correct it")
    return table, entries


def repeats_of(entry: Options, default: float, path: Path) -> float:
    """Return ``num_repeats`` of a data set.

    Raises:
        InputError: If it is no number above 0.
    """
    found = get_number(entry, "num_repeats", default, path)
    if found <= 0:
        raise InputError(
            f"{path}: num_repeats: {found:g} must be above 0; leave the data set out"
        )
    return found
