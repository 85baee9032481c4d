"""Our own training runs: levels by class, from ``run.json`` and ``density.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import CLASSES, GOLDEN, golden_first
from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Options,
    find_beside,
    get_number,
    get_positive,
    get_table,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    logit_normal,
    mixture,
    uniform,
)
from tqd_probe.exporting.run_length import RunLength, whole_or_none
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.sampling.names import SAMPLERS
from tqd_probe.sampling.registry import measured_density
from tqd_probe.schedules.band_schedule import BandSchedule

BOUNDARY = 0.875  # of Wan 2.2 T2V, where the model is not read
TOLERANCE = 0.01  # distance from which levels are not those of the settings alone


@dataclass(frozen=True)
class OwnRun:
    """Reads run directories of `tqd_probe.train`."""

    name: str = field(default="tqd-probe", init=False)
    title: str = field(default="tqd_probe train", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.is_dir():
            return (path / "run.json").is_file()
        return path.name == "run.json"

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        file = path / "run.json" if path.is_dir() else path
        settings = get_table(read_configuration(file), "settings", file)
        sampler = settings.get("sampler")
        if sampler is None:
            raise InputError(f"{file}: settings.sampler: missing; give a training run")
        if not isinstance(sampler, str) or sampler not in SAMPLERS:
            raise InputError(
                f"{file}: settings.sampler: {sampler!r}; choose from"
                f" {', '.join(SAMPLERS)}"
            )
        counts = read_counts(file.parent / "density.json")
        known = read_base(file.parent / "density.json")
        if sampler in ("beta", "mixture"):
            trained = counted_levels(counts, str(sampler), file)
        else:
            trained = sampler_levels(settings, counts, known, file)
        length = RunLength(
            steps=whole_or_none(settings, "steps", file),
            batch=whole_or_none(settings, "batch_size", file) or 1,
        )
        notes = own_notes(settings)
        return TimestepPreview(self.title, path, trained, [], notes, [length.text()])


def read_counts(path: Path) -> dict[str, list[float]]:
    """Read the counted draws of a run.

    Args:
        path: Its ``density.json``.

    Returns:
        Draws by class and bucket; none where there is no file.

    Raises:
        InputError: If a class is unknown, or its counts are no numbers from 0 on.
    """
    if not path.is_file():
        return {}
    counts = get_table(read_configuration(path), "counts", path)
    for name, each in counts.items():
        if name not in CLASSES:
            raise InputError(
                f"{path}: counts.{name}: no class; choose from {', '.join(CLASSES)}"
            )
        if not (isinstance(each, list) and each and all(is_count(x) for x in each)):
            raise InputError(
                f"{path}: counts.{name}: needs a list of numbers, 0 or above; take the"
                " file as the run wrote it"
            )
    return {name: [float(x) for x in each] for name, each in counts.items()}


def read_base(path: Path) -> np.ndarray | None:
    """Read the base density that a run has noted.

    Args:
        path: Its ``density.json``.

    Returns:
        Its distribution function at evenly spaced levels from 0 to 1; None where there
        is none, as in runs of earlier versions.

    Raises:
        InputError: If it is no distribution function.
    """
    noted = read_configuration(path).get("base_cdf") if path.is_file() else None
    if noted is None:
        return None
    sound = isinstance(noted, list) and len(noted) > 1 and all(map(is_count, noted))
    if sound:
        values = np.array(noted, float)
        sound = bool((np.diff(values) >= 0).all() and abs(values[-1] - 1) < 1e-6)
    if not sound:
        raise InputError(
            f"{path}: base_cdf: needs probabilities that rise to 1; take the file as"
            " the run wrote it"
        )
    return values


def is_count(value: Any) -> bool:
    """Return whether a value is a finite number, 0 or above."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value < 1e15


def counted_levels(
    counts: dict[str, list[float]], sampler: str, path: Path
) -> list[TrainedLevels]:
    """Return the levels of the first draws by class, even inside a bucket.

    Raises:
        InputError: If the draws were not counted.
    """
    total = sum(sum(each) for each in counts.values())
    if not total:
        raise InputError(
            f"{path.parent / 'density.json'}: missing; the levels of sampler {sampler}"
            " depend on each clip and are counted there when a run begins"
        )
    found = []
    for name in golden_first(counts):
        size = len(counts[name])
        parts = [
            (count, uniform(k / size, (k + 1) / size))
            for k, count in enumerate(counts[name])
            if count
        ]
        if parts:
            share = sum(counts[name]) / total
            rule = f"{sampler}, {total:g} draws counted"
            found.append(TrainedLevels(name, mixture(parts), rule, share=share))
    return found


def sampler_levels(
    settings: Options,
    counts: dict[str, list[float]],
    known: np.ndarray | None,
    path: Path,
) -> list[TrainedLevels]:
    """Return the levels of the samplers that see no more of a clip than its class.

    Args:
        settings: The run's settings.
        counts: Its draws by class and bucket (`read_counts`).
        known: Its base density (`read_base`).
        path: Its ``run.json``.

    Returns:
        The levels, by class for bands.
    """
    sampler = str(settings["sampler"])
    schedule = None
    if settings.get("schedule"):
        schedule = BandSchedule.load(find_beside(path, str(settings["schedule"])))
    base, words = base_levels(settings, schedule, path)
    if known is not None:
        places = np.linspace(0, 1, len(known))
        if np.abs(base.cdf(places) - known).max() > TOLERANCE:
            # A family with timesteps of its own, such as CogVideoX.
            base = LevelDistribution(lambda s: np.interp(s, places, known))
            words += ", timesteps of the family"
    limits = {"high": (BOUNDARY, 1.0), "low": (0.0, BOUNDARY)}.get(
        str(settings.get("expert"))
    )
    expert = str(settings["expert"]) if limits else None
    total = sum(sum(each) for each in counts.values())
    if sampler != "bands" or schedule is None:
        levels = base.restricted([limits]) if limits else base
        return [TrainedLevels(EVERY, levels, words, expert, 1.0)]
    found = []
    measured = schedule.measured_classes()
    for name in golden_first([GOLDEN, *measured]):
        bands = [(0.0, 1.0)] if name == GOLDEN else list(measured[name].bands)
        if limits:
            cut = [(max(a, limits[0]), min(b, limits[1])) for a, b in bands]
            bands = [(a, b) for a, b in cut if b > a]
        if bands and not (counts and name not in counts):
            share = sum(counts[name]) / total if total else None
            levels = base.restricted(bands)
            rule = f"{words}, in its bands"
            found.append(TrainedLevels(name, levels, rule, expert, share))
    return found


def base_levels(
    settings: Options, schedule: BandSchedule | None, path: Path
) -> tuple[LevelDistribution, str]:
    """Return the base density of a run, and the rule in words.

    Raises:
        InputError: If a measured one is not in the schedule.
    """
    kinds = {str(settings.get("base")), str(settings["sampler"])}
    if "measured" in kinds:
        if schedule is None:
            raise InputError(
                f"{path}: settings.schedule: missing, which holds the measured density"
            )
        return LevelDistribution(measured_density(schedule).cdf), "measured density"
    shift = get_number(settings, "shift", 0.0, path)
    if not shift:
        shift = schedule.noise.shift if schedule is not None else 1.0
    shift = get_positive({"shift": shift}, "shift", 1.0, path)
    if settings.get("space") == "sigma":
        shift = 1.0
    if "logit_normal" in kinds:
        mean = get_number(settings, "logit_mean", 0.0, path)
        std = get_positive(settings, "logit_std", 1.0, path)
        base, words = logit_normal(mean, std), f"logit-normal({mean:g}, {std:g})"
    else:
        base, words = uniform(), "uniform"
    return base.shifted(shift), words + (f", shift {shift:g}" if shift != 1 else "")


def own_notes(settings: Options) -> list[str]:
    """Name what the files of a run do not decide."""
    notes = []
    if settings.get("reprobe_every"):
        notes.append("the schedule is measured again during the run; this is the first")
    if settings.get("expert"):
        notes.append(f"boundary {BOUNDARY:g} of Wan 2.2 T2V; the model was not read")
    return notes
