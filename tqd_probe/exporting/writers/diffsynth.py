"""DiffSynth-Studio: rows of metadata with boundaries of their own, one interval a row.

A class with several bands has rows for each, in proportion to their draws.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import Literal, get_whole, split_commands
from tqd_probe.exporting.diffsynth import (
    LIMITS,
    SCRIPT,
    expert_of,
    launch_levels,
    read_launches,
    trained_grid,
)
from tqd_probe.exporting.edit_configuration import command_text, set_options
from tqd_probe.exporting.level_distribution import on_grid
from tqd_probe.exporting.writers.class_folders import write_rows
from tqd_probe.exporting.writers.export_job import (
    ExportJob,
    Written,
    WrittenClass,
    WrittenPart,
    left_out_text,
)

MOST_ROWS = 20  # of a clip
CLOSE = 0.004  # largest difference of a share that is accepted


def write(job: ExportJob, folder: Path) -> Written:
    """Write the launch script and the metadata; see `ExportJob` and `Written`."""
    launches = read_launches(job.config)
    commands = [
        (words, at)
        for words in split_commands(job.config)
        if (at := script_place(words)) and ":data_process" not in " ".join(words)
    ]
    classes: list[WrittenClass] = []
    texts, said = [], []
    for number, (options, (words, at)) in enumerate(zip(launches, commands), 1):
        if any(name in str(options.get("extra_inputs", "")) for name in LIMITS):
            raise InputError(
                f"{job.config}: --extra_inputs: rows already have boundaries; give the"
                " script without them"
            )
        expert = expert_of(options)
        levels = trained_grid(options, job.config)
        base = on_grid(levels)
        if expert is None:  # the range of the launch is the base's
            base = launch_levels(options, job.config)[0][1]
        plans, left_out = job.plan(base, expert)
        said += left_out_text(left_out, expert)
        name = "all data sets" if len(launches) == 1 else f"launch {number}"
        rows, most = [], 0
        weights = [
            plan.share * part / len(plan.clips) for plan in plans for part in plan.parts
        ]
        counts = iter(row_counts(weights))
        for plan in plans:
            pairs = []
            for band in plan.bands:
                pairs += [boundaries(levels, band, job)] * next(counts)
            most = max(most, len(pairs))
            for clip in plan.clips:
                row = {"video": str(clip.video.resolve()), "prompt": clip.caption}
                row |= {"class": plan.name}
                rows += [row | dict(zip(LIMITS, pair)) for pair in pairs]
            part = WrittenPart("train.sh", f"{name}: {plan.name}")
            classes.append(WrittenClass(plan, expert, [part]))
        metadata = f"metadata-{number}.jsonl"
        write_rows(folder / metadata, rows)
        repeat = get_whole(options, "dataset_repeat", 1, job.config)
        extra = [str(options["extra_inputs"])] if "extra_inputs" in options else []
        changes = {
            "dataset_metadata_path": Literal(job.out / metadata),
            "dataset_repeat": max(round(repeat / most), 1),
            "extra_inputs": ",".join([*extra, *LIMITS]),
            **dict.fromkeys(LIMITS),
        }
        texts.append(command_text(set_options(words, at, changes)))
    script = "#!/usr/bin/env bash\nset -e\n\n" + "\n\n".join(texts) + "\n"
    (folder / "train.sh").write_text(script, encoding="utf-8")
    steps = [
        f"bash {quote(str(job.out / 'train.sh'))}, in the folder of DiffSynth-Studio"
    ]
    return Written(classes, steps, list(dict.fromkeys(said)))


def script_place(words: list[str]) -> int:
    """Return where the options of a launch begin; 0 for other commands."""
    places = [k for k, word in enumerate(words) if SCRIPT in word]
    return places[0] + 1 if places else 0


def boundaries(
    levels: np.ndarray, band: tuple[float, float], job: ExportJob
) -> tuple[float, float]:
    """Return the boundaries of a band, as shares of the grid from the noise end.

    Args:
        levels: The grid, falling.
        band: Ends in sigma.
        job: The export, for the message.

    Returns:
        ``min_timestep_boundary`` and ``max_timestep_boundary``. The trainer cuts their
        product with 1000 to an integer; half a step keeps that from falling short.

    Raises:
        InputError: If the grid has no level in the band.
    """
    inside = np.flatnonzero((levels >= band[0]) & (levels <= band[1]))
    if not len(inside):
        raise InputError(
            f"{job.config}: no level of the grid lies in {band[0]:g}-{band[1]:g}"
        )
    first, end = int(inside[0]), int(inside[-1]) + 1
    count = len(levels)
    low = 0.0 if first == 0 else (first + 0.5) / count
    high = 1.0 if end == count else (end + 0.5) / count
    return round(low, 6), round(high, 6)


def row_counts(weights: list[float]) -> list[int]:
    """Return how many rows realise weights, as few as come close.

    Args:
        weights: Wanted draws of one clip in one band.

    Returns:
        At least 1 for each.
    """
    wanted = np.array(weights) / min(weights)
    best, least = np.ones(len(weights), dtype=int), np.inf
    for scale in range(1, MOST_ROWS + 1):
        counts = np.maximum(np.round(scale * wanted), 1)
        error = np.abs(counts / counts.sum() - wanted / wanted.sum()).max()
        if error < least - 1e-12:
            best, least = counts.astype(int), error
        if least < CLOSE:
            break
    return [int(count) for count in best]
