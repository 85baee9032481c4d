"""ai-toolkit: a run for each band of each class, by a range of indices.

Runs of one name go on from the last save, and ``train.steps`` counts the steps of all
of them (`BaseSDTrainProcess.py`, `get_latest_save_path`), so that the chain has one
name and rising steps.
"""

from __future__ import annotations

import copy
from pathlib import Path
from shlex import quote

import numpy as np
import yaml

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.ai_toolkit import (
    LIMITS,
    TWO_NETWORKS,
    arch_of,
    index_levels,
    index_range,
    read_processes,
    reads_videos,
    refuse_other_schedulers,
    timestep_type,
)
from tqd_probe.exporting.ai_toolkit_lists import STEPS
from tqd_probe.exporting.configuration_files import (
    Options,
    get_table,
    get_whole,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import LevelDistribution
from tqd_probe.exporting.writers.class_folders import link_clips
from tqd_probe.exporting.writers.export_job import (
    ExportJob,
    Written,
    WrittenClass,
    WrittenPart,
    band_runs,
    left_out_text,
    split_count,
)

OTHER_CLIPS = ("dataset_path", "caption_type")  # go before folder_path, caption_ext
RANKED = ("linear", "weighted", "sigmoid", "shift")


def write(job: ExportJob, folder: Path) -> Written:
    """Write data sets, configurations and the chain; see `ExportJob`, `Written`."""
    table = read_configuration(job.config)
    process = the_process(job)
    train = get_table(process, "train", job.config)
    model = get_table(process, "model", job.config)
    base = base_levels(train, model, job)
    plans, left_out = job.plan(base, None)
    chain = band_runs(plans)
    total = get_whole(train, "steps", 1000, job.config)
    counts = split_count(total, chain, f"{job.config}: train.steps")
    for plan in plans:
        link_clips(plan.clips, folder / "data" / plan.name)
    script, parts = ["#!/usr/bin/env bash", "set -e"], dict[str, list[WrittenPart]]()
    for number, run in enumerate(chain):
        changed = copy.deepcopy(table)
        inner = changed["config"]["process"][0]
        inner["train"] |= dict(zip(LIMITS, indices(run.band, base)))
        inner["train"]["steps"] = sum(counts[: number + 1])
        own = inner["datasets"][0].items()
        inner["datasets"] = [
            {name: value for name, value in own if name not in OTHER_CLIPS}
            | {
                "folder_path": f"{job.out}/data/{run.plan.name}",
                "caption_ext": "txt",
            }
        ]
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
        (folder / f"{run.name}.yaml").write_text(text, encoding="utf-8")
        script.append(f"python run.py {quote(f'{job.out / run.name}.yaml')}")
        parts.setdefault(run.plan.name, []).append(
            WrittenPart(f"{run.name}.yaml", "all data sets", run.share)
        )
    (folder / "train.sh").write_text("\n".join(script) + "\n", encoding="utf-8")
    classes = [WrittenClass(plan, None, parts[plan.name]) for plan in plans]
    said = left_out_text(left_out)
    said.append(
        "one run per band, of one name: each goes on from the last save, and steps"
        " count all runs so far; golden at the end"
    )
    steps = [f"bash {quote(str(job.out / 'train.sh'))}, in the folder of ai-toolkit"]
    return Written(classes, steps, said)


def the_process(job: ExportJob) -> Options:
    """Return the one training of a configuration.

    Raises:
        InputError: If there are more, or it cannot carry bands.
    """
    processes = read_processes(job.config)
    if len(processes) != 1:
        raise InputError(f"{job.config}: config.process: {len(processes)}; leave one")
    train = get_table(processes[0], "train", job.config)
    model = get_table(processes[0], "model", job.config)
    refuse_other_schedulers(train, job.config)
    if arch_of(model) in TWO_NETWORKS:
        raise InputError(
            f"{job.config}: model.arch: {model['arch']}: its ranges are overwritten by"
            " those of the two networks; bands cannot be carried"
        )
    given = [name for name in LIMITS if name in train]
    if given:
        raise InputError(
            f"{job.config}: {', '.join(given)}: bands take their place; leave them out"
        )
    if timestep_type(train) not in RANKED:
        raise InputError(
            f"{job.config}: train.timestep_type: {timestep_type(train)}: has no ranges"
            f" of levels; choose from {', '.join(RANKED)}"
        )
    if train.get("content_or_style", "balanced") != "balanced":
        raise InputError(
            f"{job.config}: train.content_or_style: favours one end of any range; leave"
            " it out"
        )
    sets = processes[0].get("datasets")
    if not (isinstance(sets, list) and len(sets) == 1 and isinstance(sets[0], dict)):
        raise InputError(
            f"{job.config}: datasets: needs one, whose settings the classes take"
        )
    if not reads_videos(sets[0]):
        raise InputError(
            f"{job.config}: datasets: num_frames: 1, its default, reads images alone;"
            " set it to the frames of a clip"
        )
    return processes[0]


def base_levels(train: Options, model: Options, job: ExportJob) -> LevelDistribution:
    """Return the levels of the whole range of indices."""
    ends = index_range(train, job.config)
    return index_levels(train, model, ends, job.config)[0]


def indices(band: tuple[float, float], base: LevelDistribution) -> tuple[int, int]:
    """Return the indices of a band, from the noise end.

    Args:
        band: Ends in sigma.
        base: Levels of all indices.

    Returns:
        The first index, and the one after the last; the trainer leaves that out.
    """
    low, high = (np.array(end) for end in band)
    below = [float(base.cdf(low, "left")), float(base.cdf(high))]
    first = min(round((STEPS - 1) * (1 - below[1])), STEPS - 2)
    end = max(round((STEPS - 1) * (1 - below[0])), first + 1)
    return first, min(end, STEPS - 1)
