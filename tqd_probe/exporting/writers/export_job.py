"""What a writer gets, and what it says about the files that it has written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tqd_probe.clips.manifest import ManifestRow
from tqd_probe.core.errors import InputError
from tqd_probe.exporting.class_plan import ClassPlan, plan_classes
from tqd_probe.exporting.level_distribution import Intervals, LevelDistribution
from tqd_probe.exporting.trainer_format import VideoShape
from tqd_probe.schedules.band_schedule import BandSchedule

SHORTEST = 0.02  # of a class's draws: bands with less are refused, not rounded away


@dataclass(frozen=True)
class ExportJob:
    """An export.

    Attributes:
        config: The user's configuration.
        clips: Clips by class.
        schedule: The schedule.
        out: Where the folder will stand, absolute.
        shape: Size of the clips; None if it is not known.
        boundary: Level at which the two networks of Wan 2.2 meet.
    """

    config: Path
    clips: dict[str, list[ManifestRow]]
    schedule: BandSchedule
    out: Path
    shape: VideoShape | None = None
    boundary: float = 0.875

    def plan(
        self, base: LevelDistribution, expert: str | None
    ) -> tuple[list[ClassPlan], list[str]]:
        """Plan the classes that one network trains; see `plan_classes`."""
        ends = {"high": (self.boundary, 1.0), "low": (0.0, self.boundary)}
        span = ends.get(expert or "", (0.0, 1.0))
        return plan_classes(self.clips, self.schedule, base, span)


@dataclass(frozen=True)
class WrittenPart:
    """Part of a class's draws, as a file that was written makes them.

    Attributes:
        config: The file, in the folder.
        data_set: Its data set, as the preview of the file names it.
        share: Share of the class's draws.
        levels: Its levels, where the file does not say them.
    """

    config: str
    data_set: str
    share: float = 1.0
    levels: LevelDistribution | None = None


@dataclass(frozen=True)
class WrittenClass:
    """A class in the files that were written.

    Attributes:
        plan: What was wanted.
        expert: Network that is trained, of two.
        parts: What realises it.
    """

    plan: ClassPlan
    expert: str | None
    parts: list[WrittenPart]


@dataclass(frozen=True)
class Written:
    """What a writer has written.

    Attributes:
        classes: Classes, by network.
        steps: What the user does next, in order.
        said: What was changed or left out, one sentence each.
    """

    classes: list[WrittenClass]
    steps: list[str]
    said: list[str] = field(default_factory=list)


Writer = Callable[[ExportJob, Path], Written]


@dataclass(frozen=True)
class BandRun:
    """One run of a trainer that has one range of levels per run.

    Attributes:
        plan: The class.
        band: The interval of sigma.
        share: Share of the class's draws.
        name: Name of the run, such as ``2-visual_degraded``.
    """

    plan: ClassPlan
    band: tuple[float, float]
    share: float
    name: str

    @property
    def passes(self) -> float:
        """Passes over the class's clips for each epoch of the user's configuration."""
        clips = self.plan.clips
        return self.share * sum(row.repeats for row in clips) / len(clips)

    @property
    def whole_share(self) -> float:
        """Share of all draws."""
        return self.share * self.plan.share


def band_runs(plans: list[ClassPlan]) -> list[BandRun]:
    """Return the runs of a chain, golden clips last.

    Args:
        plans: Classes, golden first.

    Returns:
        A run for each band of each class.
    """
    runs: list[BandRun] = []
    for plan in reversed(plans):
        for number, (band, share) in enumerate(zip(plan.bands, plan.parts), 1):
            part = f"-{number}" if len(plan.bands) > 1 else ""
            name = f"{len(runs) + 1}-{plan.name}{part}"
            runs.append(BandRun(plan, band, share, name))
    return runs


def left_out_text(names: list[str], expert: str | None = None) -> list[str]:
    """Say which classes have no band, or none in one network's levels."""
    where = f" in the levels of the {expert}-noise network" if expert else ""
    return [f"{name}: no band{where}; its clips are left out" for name in names]


def is_whole(bands: Intervals) -> bool:
    """Return whether a class may be used at all levels."""
    return list(bands) == [(0.0, 1.0)]


def split_count(total: int, runs: list[BandRun], what: str) -> list[int]:
    """Split steps among runs in proportion to their draws.

    Args:
        total: Steps of the user's configuration.
        runs: The runs.
        what: File and option, for the message.

    Returns:
        Steps of each run.

    Raises:
        InputError: If there are too few for the smallest.
    """
    counts = [round(total * run.whole_share) for run in runs]
    if min(counts) < 1:
        raise InputError(f"{what}: {total} steps are too few for {len(runs)} runs")
    return counts
