"""DiffSynth-Studio: rows of metadata with boundaries of their own, one interval a row.

A class with several bands has rows for each, in proportion to their draws.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from tqd_probe.clips.tables import read_table
from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Literal,
    Options,
    find_beside,
    get_number,
    get_whole,
    parse_options,
    split_commands,
)
from tqd_probe.exporting.diffsynth import (
    LIMITS,
    expert_of,
    folder_of,
    launch_levels,
    read_launches,
    script_place,
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

DERIVED = ("input_image", "end_image")  # of --extra_inputs, made of the video
MOST_ROWS = 20  # of a clip
CLOSE = 0.004  # largest difference of a share that is accepted


def write(job: ExportJob, folder: Path) -> Written:
    """Write the launch script and the metadata; see `ExportJob` and `Written`."""
    launches = read_launches(job.config)
    commands = [words for words in split_commands(job.config) if script_place(words)]
    trained = [words for words in commands if not makes_cache(words)]
    classes: list[WrittenClass] = []
    texts: list[str] = []
    said: list[str] = []
    for number, (options, words) in enumerate(zip(launches, trained), 1):
        extra = split_extra(options)
        if set(LIMITS) & set(extra):
            raise InputError(
                f"{job.config}: --extra_inputs: rows already have boundaries; give the"
                " script without them"
            )
        expert = expert_of(options)
        levels = trained_grid(options, job.config)
        ends = (0, len(levels))
        base, span = on_grid(levels), expert
        if set(LIMITS) & options.keys():  # the launch says its levels
            base, span = launch_levels(options, job.config)[0][1], None
            ends = launch_ends(options, len(levels), job.config)
        plans, left_out = job.plan(base, span)
        said += left_out_text(left_out, expert)
        columns = own_columns(options, [e for e in extra if e not in DERIVED], job)
        name = "all data sets" if len(launches) == 1 else f"launch {number}"
        rows, most = [], 0
        weights = [
            plan.share * part / len(plan.clips) for plan in plans for part in plan.parts
        ]
        counts = iter(row_counts(weights))
        for plan in plans:
            pairs = []
            for band in plan.bands:
                pairs += [boundaries(levels, band, ends, job)] * next(counts)
            most = max(most, len(pairs))
            for clip in plan.clips:
                row = {"video": str(clip.video.resolve()), "prompt": clip.caption}
                row |= {"class": plan.name} | columns.get(clip.video.resolve(), {})
                rows += [row | dict(zip(LIMITS, pair)) for pair in pairs]
            part = WrittenPart("train.sh", f"{name}: {plan.name}")
            classes.append(WrittenClass(plan, expert, [part]))
        metadata = f"metadata-{number}.jsonl"
        write_rows(folder / metadata, rows)
        repeat = get_whole(options, "dataset_repeat", 1, job.config)
        data: Options = {
            "dataset_metadata_path": Literal(job.out / metadata),
            "extra_inputs": ",".join([*extra, *LIMITS]),
            **dict.fromkeys(LIMITS),
        }
        times = {"dataset_repeat": max(round(repeat / most), 1)}
        texts += launch_texts(words, commands, data, times, job.out / f"cache-{number}")
    script = "#!/usr/bin/env bash\nset -e\n\n" + "\n\n".join(texts) + "\n"
    (folder / "train.sh").write_text(script, encoding="utf-8")
    steps = [
        f"bash {quote(str(job.out / 'train.sh'))}, in the folder of DiffSynth-Studio"
    ]
    return Written(classes, steps, list(dict.fromkeys(said)))


def task_of(words: list[str]) -> str:
    """Return ``--task`` of a launch."""
    return str(parse_options(words[script_place(words) :]).get("task", "sft"))


def makes_cache(words: list[str]) -> bool:
    """Return whether a launch makes a cache and trains nothing."""
    return task_of(words).endswith(":data_process")


def launch_texts(
    words: list[str],
    commands: list[list[str]],
    data: Options,
    times: Options,
    cache: Path,
) -> list[str]:
    """Return the commands of one training, that of its cache first.

    Args:
        words: The launch that trains.
        commands: All launches of the script.
        data: Options that name the rows.
        times: Options that repeat them.
        cache: Folder of a cache, for a training that reads one.

    Returns:
        One command, or two.

    Raises:
        InputError: If the launch that makes the cache is not in the script.
    """
    if not task_of(words).endswith(":train"):
        return [command_text(set_options(words, script_place(words), data | times))]
    wanted = folder_of(parse_options(words), "dataset_base_path")
    makers = [
        each
        for each in commands
        if makes_cache(each) and folder_of(parse_options(each), "output_path") == wanted
    ]
    if not makers:
        raise InputError(
            f"--task sft:train: {wanted}: the rows of a cache have its levels, and no"
            " launch of the script makes it; give a script with its sft:data_process"
        )
    made = data | {"output_path": Literal(cache), "dataset_repeat": 1}
    own = dict.fromkeys((*LIMITS, "dataset_metadata_path"))
    read = own | times | {"dataset_base_path": Literal(cache)}
    return [
        command_text(set_options(each, script_place(each), changes))
        for each, changes in ((makers[0], made), (words, read))
    ]


def split_extra(options: Options) -> list[str]:
    """Return the names of ``--extra_inputs``."""
    names = str(options.get("extra_inputs", "")).split(",")
    return [name.strip() for name in names if name.strip()]


def launch_ends(options: Options, count: int, path: Path) -> tuple[int, int]:
    """Return the first index of a launch's own range, and the one after the last."""
    low, high = (
        get_number(options, name, end, path) for name, end in zip(LIMITS, (0.0, 1.0))
    )
    return int(low * count), int(high * count)


def own_columns(
    options: Options, names: list[str], job: ExportJob
) -> dict[Path, dict[str, Any]]:
    """Return the columns of the user's metadata that a launch asks for.

    The trainer takes each name of ``--extra_inputs`` from the row (`train.py`,
    `parse_extra_inputs`), but the few that it makes of the video.

    Args:
        options: Options of the launch.
        names: The columns.
        job: The export.

    Returns:
        Cells by video.

    Raises:
        InputError: If the metadata lack a clip or a column.
    """
    if not names:
        return {}
    given = str(options.get("dataset_metadata_path") or "")
    metadata = find_beside(job.config, given, "dataset_metadata_path")
    place = str(metadata)
    root = Path(place.removesuffix(given)) if place.endswith(given) else Path()
    base = root / str(options.get("dataset_base_path", ""))
    found = {}
    for where, cells in read_table(metadata)[1]:
        missing = [name for name in names if name not in cells]
        if missing:
            raise InputError(
                f"{metadata}: {where}: {missing[0]}: missing, and --extra_inputs asks"
                " for it; add it to every row"
            )
        video = (base / str(cells.get("video"))).resolve()
        found[video] = {name: cells[name] for name in names}
    for clip in (clip for clips in job.clips.values() for clip in clips):
        if clip.video.resolve() not in found:
            raise InputError(
                f"{metadata}: {clip.video.name}: has no row, and --extra_inputs asks"
                f" for its {', '.join(names)}; add the row"
            )
    return found


def boundaries(
    levels: np.ndarray,
    band: tuple[float, float],
    ends: tuple[int, int],
    job: ExportJob,
) -> tuple[float, float]:
    """Return the boundaries of a band, as shares of the grid from the noise end.

    Args:
        levels: The grid, falling.
        band: Ends in sigma.
        ends: First index that the launch has, and the one after the last.
        job: The export, for the message.

    Returns:
        ``min_timestep_boundary`` and ``max_timestep_boundary``. The trainer cuts their
        product with 1000 to an integer; half a step keeps that from falling short.

    Raises:
        InputError: If the grid has no level in the band.
    """
    inside = np.flatnonzero((levels >= band[0]) & (levels <= band[1]))
    inside = inside[(inside >= ends[0]) & (inside < ends[1])]
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
