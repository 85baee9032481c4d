"""What a configuration really yields, as text: shares of draws, traps, bands."""

from __future__ import annotations

import textwrap

import numpy as np

from tqd_probe.core.clip_classes import CLASSES, DEGRADED_CLASSES
from tqd_probe.exporting.run_length import together
from tqd_probe.exporting.trainer_format import TimestepPreview, TrainedLevels
from tqd_probe.sampling.level_buckets import BUCKETS, bucket_edges
from tqd_probe.schedules.band_schedule import BandSchedule

WIDTH, NAME = 99, 26  # columns of the text, and of the first column
LEFT, CELLS = 39, 60  # columns before the shares, and of the shares
RATINGS = ("use", "test", "avoid")
BLOCKS, PLAIN_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*%#"
BAND_MARKS = {"use": "#", "test": "~", "avoid": "."}
RARE = 1e-4  # share of draws below which a cell of the drawing stays empty


def preview_text(
    preview: TimestepPreview, schedule: BandSchedule | None, blocks: str = BLOCKS
) -> str:
    """Write a preview for the terminal.

    Args:
        preview: What the configuration yields.
        schedule: A schedule to hold it against.
        blocks: Nine characters from empty to full; `PLAIN_BLOCKS` for a terminal that
            shows no others.

    Returns:
        Lines of text.
    """
    lines = [
        f"{preview.trainer}: {preview.source}",
        "share of draws (%) by noise level (lower edge of bucket)",
        f"{'data set':<{NAME}}{'expert':<7}{'draws':>6}"
        + "".join(f"{b / BUCKETS:>6.1f}" for b in range(BUCKETS)),
    ]
    last = None
    for each in [*preview.trained, *together(preview.trained)]:
        if last is not None and each.levels is last:  # data sets of one run
            lines.append(bucket_row(each))
            continue
        last = each.levels
        rule = f"  {each.rule}{atoms_text(each)}"
        if len(rule) >= LEFT:
            lines += [bucket_row(each), rule]
            rule = ""
        else:
            lines.append(bucket_row(each))
        lines.append(f"{rule:<{LEFT}}{drawing(each, blocks)}".rstrip())
    if schedule is not None:
        lines += ["", *band_rows(preview, schedule)]
    said = [("length", text) for text in preview.lengths if text]
    said += [("trap", text) for text in preview.traps]
    said += [("note", text) for text in preview.notes]
    said += [("not modelled", text) for text in preview.not_modelled]
    for kind, text in said:
        indent = " " * (len(kind) + 2)
        lines += textwrap.wrap(f"{kind}: {text}", WIDTH, subsequent_indent=indent)
    return "\n".join(lines)


def drawing(trained: TrainedLevels, blocks: str) -> str:
    """Draw the density of a data set in one line, under the columns of its shares.

    Args:
        trained: Levels of a data set.
        blocks: Nine characters from empty to full.

    Returns:
        A character for each sixtieth of the noise levels ``[CELLS]``; the highest one
        is full.
    """
    edges = np.linspace(0.0, 1.0, CELLS + 1)
    mass = trained.levels.density(edges) / CELLS
    for level, part in trained.levels.atoms():
        mass[min(int(level * CELLS), CELLS - 1)] += part
    heights = np.rint((len(blocks) - 1) * mass / mass.max()).astype(int)
    heights = np.where(mass < RARE, 0, np.maximum(heights, 1))
    return "".join(blocks[height] for height in heights)


def bands_drawing(intervals: dict[str, list]) -> str:
    """Draw the bands of a class in one line, marked by rating ``[CELLS]``."""
    marks = np.full(CELLS, " ")
    middles = (np.arange(CELLS) + 0.5) / CELLS
    for rating, each in intervals.items():
        for low, high in each:
            marks[(middles >= low) & (middles <= high)] = BAND_MARKS[rating]
    return "".join(marks)


def bucket_shares(trained: TrainedLevels) -> np.ndarray:
    """Return the share of draws in each bucket of sigma.

    Args:
        trained: Levels of a data set.

    Returns:
        Shares that sum to 1 ``[BUCKETS]``; a level on an edge belongs to the upper one.
    """
    at = trained.levels.cdf(bucket_edges()[1:-1], "left")
    return np.maximum(np.diff(np.concatenate([[0.0], at, [1.0]])), 0.0)


def bucket_row(trained: TrainedLevels) -> str:
    """Write the shares of a data set as a row."""
    cells = "".join(f"{100 * share:>6.1f}" for share in bucket_shares(trained))
    draws = "" if trained.share is None else f"{100 * trained.share:.1f}"
    return (
        f"{short(trained.data_set):<{NAME}}{trained.expert or '':<7}{draws:>6}{cells}"
    )


def atoms_text(trained: TrainedLevels) -> str:
    """Write the levels that are drawn again and again; nothing where there are none."""
    atoms = sorted(trained.levels.atoms(), key=lambda pair: -pair[1])[:3]
    parts = [f"{100 * mass:.0f} % at exactly {level:.4g}" for level, mass in atoms]
    return f" ({', '.join(parts)})" if parts else ""


def short(name: str) -> str:
    """Return a name that fits its column."""
    return name if len(name) < NAME else f"...{name[4 - NAME :]}"


def intervals_of(schedule: BandSchedule, name: str) -> dict[str, list]:
    """Return the intervals of a class by rating: use, test, avoid."""
    curves = schedule.classes[name]
    lists = (curves.bands, curves.test, curves.avoid)
    return {rating: list(each or []) for rating, each in zip(RATINGS, lists)}


def rated_shares(trained: TrainedLevels, schedule: BandSchedule, name: str) -> list:
    """Return the shares of a data set's draws in a class's intervals, by rating."""
    return [
        trained.levels.mass(intervals) if intervals else 0.0
        for intervals in intervals_of(schedule, name).values()
    ]


def measured(schedule: BandSchedule) -> list[str]:
    """Return the classes that a schedule measured, in the usual order."""
    return [name for name in DEGRADED_CLASSES if name in schedule.measured_classes()]


def band_rows(preview: TimestepPreview, schedule: BandSchedule) -> list[str]:
    """Write which share of the draws lies where a class may be used.

    Args:
        preview: What the configuration yields.
        schedule: The schedule.

    Returns:
        The bands of each class as a drawing, a head, and a row for each data set and
        class; that class alone for a data set that is named after one.
    """
    key = ", ".join(f"{mark} {rating}" for rating, mark in BAND_MARKS.items())
    bands = [f"bands of {schedule.model.source}: {key}"]
    lines = [
        f"share of draws (%) in the bands of {schedule.model.source}",
        f"{'data set':<{NAME}}{'expert':<7}{'if its clips are':<20}"
        + "".join(f"{rating:>7}" for rating in RATINGS),
    ]
    for name in measured(schedule):
        marks = bands_drawing(intervals_of(schedule, name))
        bands.append(f"  {name:<{LEFT - 2}}{marks}".rstrip())
    for each in preview.trained:
        own = class_of(each.data_set)
        for name in measured(schedule):
            if own not in (None, name):
                continue
            cells = "".join(
                f"{100 * share:>7.1f}" for share in rated_shares(each, schedule, name)
            )
            lines.append(
                f"{short(each.data_set):<{NAME}}{each.expert or '':<7}{name:<20}{cells}"
            )
    return bands + lines


def class_of(data_set: str) -> str | None:
    """Return the class that a data set is named after; None without one.

    Args:
        data_set: Its name, such as ``launch 1: golden`` or ``clips-motion_degraded``.
    """
    for name in CLASSES:
        head, found, tail = data_set.rpartition(name)
        if found and not tail and not (head[-1:].isalnum() or head.endswith("_")):
            return name
    return None
