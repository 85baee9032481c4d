"""What a configuration really yields, as text: shares of draws, traps, bands."""

from __future__ import annotations

import textwrap

import numpy as np

from tqd_probe.core.clip_classes import DEGRADED_CLASSES
from tqd_probe.exporting.trainer_format import TimestepPreview, TrainedLevels
from tqd_probe.sampling.level_buckets import BUCKETS, bucket_edges
from tqd_probe.schedules.band_schedule import BandSchedule

WIDTH, NAME = 99, 26  # columns of the text, and of the first column
RATINGS = ("use", "test", "avoid")


def preview_text(preview: TimestepPreview, schedule: BandSchedule | None) -> str:
    """Write a preview for the terminal.

    Args:
        preview: What the configuration yields.
        schedule: A schedule to hold it against.

    Returns:
        Lines of text.
    """
    lines = [
        f"{preview.trainer}: {preview.source}",
        "share of draws (%) by noise level (lower edge of bucket)",
        f"{'data set':<{NAME}}{'expert':<7}{'draws':>6}"
        + "".join(f"{b / BUCKETS:>6.1f}" for b in range(BUCKETS)),
    ]
    for each in preview.trained:
        lines += [bucket_row(each), f"  {each.rule}{atoms_text(each)}"]
    if schedule is not None:
        lines += ["", *band_rows(preview, schedule)]
    said = [("trap", text) for text in preview.traps]
    said += [("note", text) for text in preview.notes]
    for kind, text in said:
        indent = " " * (len(kind) + 2)
        lines += textwrap.wrap(f"{kind}: {text}", WIDTH, subsequent_indent=indent)
    return "\n".join(lines)


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
        A head, and a row for each data set and class.
    """
    lines = [
        f"share of draws (%) in the bands of {schedule.model.source}",
        f"{'data set':<{NAME}}{'expert':<7}{'if its clips are':<20}"
        + "".join(f"{rating:>7}" for rating in RATINGS),
    ]
    for each in preview.trained:
        for name in measured(schedule):
            cells = "".join(
                f"{100 * share:>7.1f}" for share in rated_shares(each, schedule, name)
            )
            lines.append(
                f"{short(each.data_set):<{NAME}}{each.expert or '':<7}{name:<20}{cells}"
            )
    return lines
