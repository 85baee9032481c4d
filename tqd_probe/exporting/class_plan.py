"""What is to be trained, class by class: clips, bands, wanted levels, share of draws.

Wanted are the levels that the sampler `bands` draws with the base density that the
user's configuration has now: that density, restricted to the bands of the clip's class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tqd_probe.clips.manifest import ManifestRow, read_manifest
from tqd_probe.core.clip_classes import CLASSES, GOLDEN
from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import beside, kind_of
from tqd_probe.exporting.level_distribution import Intervals, LevelDistribution
from tqd_probe.schedules.band_schedule import BandSchedule


@dataclass(frozen=True)
class ClassPlan:
    """How the clips of one class are to be trained by one network.

    Attributes:
        name: The class.
        clips: Its clips.
        bands: Its intervals of sigma that the network has.
        wanted: The levels wanted: the base density on the bands.
        share: Share of the network's draws that the class gets.
        parts: Share of each band in the draws of the class, summing to 1.
    """

    name: str
    clips: list[ManifestRow]
    bands: Intervals
    wanted: LevelDistribution
    share: float
    parts: list[float]


def clips_by_class(path: Path, schedule: BandSchedule) -> dict[str, list[ManifestRow]]:
    """Read a manifest and sort its clips by class.

    Args:
        path: The manifest; every row has a class.
        schedule: The schedule; it has measured every class of the manifest.

    Returns:
        Clips by class, golden first.

    Raises:
        InputError: If a clip has no class, has one that was not measured, or is not
            there.
    """
    if kind_of(path) == "folder":
        table = beside(path, "scores.csv")
        score = f"tqd-probe score --clips {path} --out {path / 'scores.csv'}"
        raise InputError(
            f"{path}: is a folder, and classes are needed: give"
            f" {table or f'the table that it gets from {score}'}"
        )
    found: dict[str, list[ManifestRow]] = {}
    known = [GOLDEN, *schedule.measured_classes()]
    for row in read_manifest(path):
        if row.class_ is None:
            raise InputError(
                f"{path}: {row.video.name}: has no class; score the clips with"
                " tqd-probe score, or fill in the column class"
            )
        if row.class_ not in known:
            raise InputError(
                f"{path}: {row.video.name}: class {row.class_} was not measured by the"
                f" schedule (it has {', '.join(known)}); measure it by tqd-probe"
                " gradsim, or leave its rows out"
            )
        if not row.video.is_file():
            raise InputError(f"{path}: {row.video}: no such file; correct the row")
        found.setdefault(row.class_, []).append(row)
    return {name: found[name] for name in CLASSES if name in found}


def plan_classes(
    clips: dict[str, list[ManifestRow]],
    schedule: BandSchedule,
    base: LevelDistribution,
    ends: tuple[float, float] = (0.0, 1.0),
) -> tuple[list[ClassPlan], list[str]]:
    """Plan the training of one network.

    As in `tqd_probe train`, a clip is drawn in proportion to its repeats, and to the
    share of its class's levels that the network has.

    Args:
        clips: Clips by class.
        schedule: The schedule.
        base: The density of levels that the configuration has now.
        ends: Levels that the network has.

    Returns:
        Plans of the classes that are trained, and names of those that are not.

    Raises:
        InputError: If no class is trained.
    """
    measured = schedule.measured_classes()
    found: list[tuple[str, list[tuple[float, float]], float]] = []
    left_out = []
    for name in clips:
        whole: Intervals = [(0.0, 1.0)]
        if name != GOLDEN:
            whole = measured[name].bands
        cut = [(max(a, ends[0]), min(b, ends[1])) for a, b in whole]
        bands = [(a, b) for a, b in cut if b > a and base.mass([(a, b)]) > 0]
        if bands:
            often = sum(row.repeats for row in clips[name])
            weight = often * base.mass(bands) / base.mass(whole)
            found.append((name, bands, weight))
        else:
            left_out.append(name)
    if not found:
        raise InputError(
            f"no class of the clips has a band in {ends[0]:g}-{ends[1]:g}, where the"
            " configuration draws levels; measure again with a lower --cos-min"
        )
    total = sum(weight for _, _, weight in found)
    plans = []
    for name, bands, weight in found:
        masses = np.array([base.mass([band]) for band in bands])
        plans.append(
            ClassPlan(
                name=name,
                clips=clips[name],
                bands=bands,
                wanted=base.restricted(bands),
                share=weight / total,
                parts=list(masses / masses.sum()),
            )
        )
    return plans, left_out
