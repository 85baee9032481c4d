"""An export: files written for a trainer, and what they realise beside the schedule."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged_folder
from tqd_probe.core.known_files import refuse_other_kinds
from tqd_probe.exporting.class_plan import ClassPlan, clips_by_class
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    ks_distance,
    mixture,
)
from tqd_probe.exporting.preview_table import WIDTH, bucket_shares
from tqd_probe.exporting.registry import FORMATS, instead_of
from tqd_probe.exporting.trainer_format import TrainedLevels, VideoShape
from tqd_probe.exporting.writers import (
    ai_toolkit,
    diffsynth,
    diffusion_pipe,
    ltx2,
    musubi,
    nemo,
    simpletuner,
)
from tqd_probe.exporting.writers.export_job import ExportJob, Writer, WrittenClass
from tqd_probe.sampling.level_buckets import BUCKETS
from tqd_probe.schedules.band_schedule import BandSchedule

WRITERS: dict[str, Writer] = {
    "diffsynth": diffsynth.write,
    "simpletuner": simpletuner.write,
    "musubi": musubi.write,
    "diffusion-pipe": diffusion_pipe.write,
    "ltx2": ltx2.write,
    "ai-toolkit": ai_toolkit.write,
    "nemo": nemo.write,
}


@dataclass(frozen=True)
class ExportedClass:
    """A class of an export, as the files that were written realise it.

    Attributes:
        plan: What was wanted.
        expert: Network that is trained, of two.
        realised: Levels that the trainer draws for the class.
        distance: Their Kolmogorov-Smirnov distance to the wanted ones.
    """

    plan: ClassPlan
    expert: str | None
    realised: LevelDistribution
    distance: float


@dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
        trainer: Name of the trainer.
        out: The folder.
        classes: What it realises, by class.
        steps: What the user does next, in order.
        said: What was changed or left out.
    """

    trainer: str
    out: Path
    classes: list[ExportedClass]
    steps: list[str]
    said: list[str]


def export_schedule(
    schedule: Path,
    to: str,
    clips: Path,
    config: Path,
    out: Path,
    shape: VideoShape | None = None,
    boundary: float = 0.875,
) -> Export:
    """Write what a trainer reads to train each class in its bands.

    Args:
        schedule: The band schedule.
        to: Name of the trainer.
        clips: Manifest of the clips, with classes.
        config: The user's configuration; it is not changed.
        out: Folder to make; absent or empty.
        shape: Size of the clips, where a shift depends on it.
        boundary: Level at which the two networks of Wan 2.2 meet.

    Returns:
        What the files realise, as the preview reads them.

    Raises:
        InputError: If an input is at fault, or the trainer cannot carry bands.
    """
    if to not in WRITERS:
        raise InputError(f"--to {to}: choose from {', '.join(WRITERS)}")
    if "\0" in str(out):
        raise InputError(f"--out {str(out)!r}: holds a NUL character; leave it out")
    refuse_other_kinds(config, {to}, lambda kind: instead_of(kind, to, "--to"))
    bands = BandSchedule.load(schedule)
    place = out.resolve()
    if place.exists() and not place.is_dir():
        raise InputError(f"--out {out}: is a file; choose a folder")
    if place.is_dir() and any(place.iterdir()):
        raise InputError(f"--out {out}: exists and is not empty; choose another folder")
    job = ExportJob(config, clips_by_class(clips, bands), bands, place, shape, boundary)
    with staged_folder(place) as part:
        written = WRITERS[to](job, part)
        FORMATS[to].preview(config, shape)  # refuses the user's file, by its name
    try:  # files name each other by their final places
        classes = [realise(each, to, place, shape) for each in written.classes]
    except BaseException:
        shutil.rmtree(place)
        raise
    said = written.said + repeats_text(job, to)
    return Export(FORMATS[to].title, out, classes, written.steps, said)


def repeats_text(job: ExportJob, to: str) -> list[str]:
    """Say what becomes of repeats of the manifest that a trainer cannot carry."""
    if to == "nemo" and any(r.repeats != 1 for c in job.clips.values() for r in c):
        return ["repeats: runs have the same epochs, so that repeats are not carried"]
    return [
        f"{name}: repeats differ; the class is drawn by their sum, its clips alike"
        for name, clips in job.clips.items()
        if len({row.repeats for row in clips}) > 1
    ]


def realise(
    written: WrittenClass, to: str, out: Path, shape: VideoShape | None
) -> ExportedClass:
    """Read the files of a class as its trainer will.

    Args:
        written: What was written for the class.
        to: Name of the trainer.
        out: The folder.
        shape: Size of the clips.

    Returns:
        The levels that the trainer draws for it.

    Raises:
        InputError: If a file that was written does not name the class.
    """
    drawn: list[tuple[float, LevelDistribution]] = []
    for part in written.parts:
        preview = FORMATS[to].preview(out / part.config, shape)
        found = [each for each in preview.trained if each.data_set == part.data_set]
        if not found:
            raise InputError(f"{out / part.config}: {part.data_set}: not to be found")
        drawn += [(part.share * (each.share or 1.0), each.levels) for each in found]
    realised = drawn[0][1] if len(drawn) == 1 else mixture(drawn)
    distance = ks_distance(realised, written.plan.wanted)
    return ExportedClass(written.plan, written.expert, realised, distance)


def export_text(export: Export) -> str:
    """Write an export for the terminal.

    Args:
        export: The export.

    Returns:
        Lines of text.
    """
    head = "".join(f"{b / BUCKETS:>6.1f}" for b in range(BUCKETS))
    lines = [
        f"{export.trainer}: {export.out}",
        "share of draws (%) by noise level (lower edge of bucket)",
        f"{'class':<16}{'expert':<7}{'clips':>6}{'draws':>6}{'':>10}{head}{'KS':>7}",
    ]
    for each in export.classes:
        plan = each.plan
        lines.append(
            f"{plan.name:<16}{each.expert or '':<7}{len(plan.clips):>6}"
            f"{100 * plan.share:>6.1f}{'wanted':>10}{cells(plan.wanted)}"
        )
        lines.append(
            f"{'':<35}{'realised':>10}{cells(each.realised)}{each.distance:>7.3f}"
        )
    for text in export.said:
        lines += textwrap.wrap(text, WIDTH, subsequent_indent="  ")
    for number, text in enumerate(export.steps, 1):
        lines.append(f"{number}. {text}")
    return "\n".join(lines)


def cells(levels: LevelDistribution) -> str:
    """Write the shares of buckets in percent."""
    shares = bucket_shares(TrainedLevels("", levels, ""))
    return "".join(f"{value:>6.1f}" for value in 100 * np.asarray(shares))
