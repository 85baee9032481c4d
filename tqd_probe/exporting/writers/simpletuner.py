"""SimpleTuner: a data set for each class, with the offset whose levels come closest.

A data set has one offset and no range, so that its levels are a logit-normal around the
bands and reach beyond them. The Kolmogorov-Smirnov distance says how far. Repeats give
a class its share of an epoch, probabilities spread the classes evenly over it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.exporting.class_plan import ClassPlan
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_positive,
    read_configuration,
    read_text,
)
from tqd_probe.exporting.level_distribution import (
    COARSE,
    LevelDistribution,
    logit_normal,
)
from tqd_probe.exporting.simpletuner import (
    OFFSET,
    schedule_of,
    timestep_shift,
    undashed,
)
from tqd_probe.exporting.simpletuner_data_sets import backends_file, read_backends
from tqd_probe.exporting.writers.class_folders import link_clips
from tqd_probe.exporting.writers.export_job import (
    ExportJob,
    Written,
    WrittenClass,
    WrittenPart,
    is_whole,
    left_out_text,
)

OTHERS = ("text_embeds", "image_embeds", "conditioning", "conditioning_image_embeds")
LARGEST = 8.0  # offset
# Settings that say where a data set's clips and captions are; folders take their place.
# Read 2026-08, bc8e6ab: `data_backend/config/image.py`, `data_backend/factory.py`.
SOURCES = ("dataset_name", "huggingface", "parquet", "webshart", "source", "metadata")
SOURCE_PREFIXES = ("aws_", "csv_", "huggingface_", "parquet_", "webshart_")


def write(job: ExportJob, folder: Path) -> Written:
    """Write config.json and the list of data sets; see `ExportJob` and `Written`."""
    table = read_configuration(job.config)
    options = undashed(table)
    kind = schedule_of(options)
    if kind != "sigmoid":
        raise InputError(
            f"{job.config}: the {kind} schedule ignores {OFFSET}, and nothing else"
            " differs between data sets; take the default schedule"
        )
    backends = read_backends(options, job.config)
    if len(backends) > 1:
        names = ", ".join(str(each.get("id")) for each in backends)
        raise InputError(
            f"{job.config}: data_backend_config: several data sets ({names}); leave the"
            " one whose settings the classes take"
        )
    if get_number(backends[0], OFFSET, 0.0, job.config):
        raise InputError(f"{job.config}: {OFFSET}: take it off the data set first")
    shift, expert = timestep_shift(options, job.config)
    scale = get_positive(options, "flow_sigmoid_scale", 1.0, job.config)
    base = logit_normal(0.0, scale).shifted(shift)
    plans, left_out = job.plan(base, expert)
    entries, classes = [], []
    own = 1 + int(get_number(backends[0], "repeats", 0.0, job.config))
    for plan, times in zip(plans, whole_passes(plans, own)):
        offset = 0.0
        if not is_whole(plan.bands):
            offset = best_offset(plan.wanted, scale, shift)
        name = f"{backends[0].get('id', 'clips')}-{plan.name}"
        entries.append(
            without_source(backends[0])
            | {
                "id": name,
                "type": "local",
                "metadata_backend": "discovery",
                "instance_data_dir": str(job.out / "data" / plan.name),
                "caption_strategy": "textfile",
                "cache_dir_vae": str(job.out / "cache" / plan.name),
                OFFSET: offset,
                "repeats": times - 1,
                "probability": round(plan.share, 6),
            }
        )
        link_clips(plan.clips, folder / "data" / plan.name)
        classes.append(WrittenClass(plan, expert, [WrittenPart("config.json", name)]))
    entries += other_entries(options, job.config)
    write_json(folder / "multidatabackend.json", entries)
    kept = {
        name: value
        for name, value in table.items()
        if undashed({name: 0}).keys() - {"data_backend_config", "data_backend_sampling"}
    }
    kept |= {
        "data_backend_config": str(job.out / "multidatabackend.json"),
        "data_backend_sampling": "uniform",
    }
    write_json(folder / "config.json", kept)
    said = left_out_text(left_out, expert)
    said += rounding_text(plans, own)
    said.append(
        "repeats give each class its share of an epoch; data_backend_sampling is"
        " uniform, so that probabilities spread the classes evenly over it"
    )
    steps = [f"SimpleTuner with {job.out / 'config.json'}"]
    return Written(classes, steps, said)


def without_source(backend: Options) -> Options:
    """Return the settings of a data set without those that say where its clips are.

    All data sets of video among the trainer's examples are of type ``huggingface``,
    which reads ``dataset_name`` and no folder.
    """
    return {
        name: value
        for name, value in backend.items()
        if name not in SOURCES and not name.startswith(SOURCE_PREFIXES)
    }


def whole_passes(plans: list[ClassPlan], own: int) -> list[int]:
    """Return how often an epoch draws each clip of a class, 1 + ``repeats``.

    Args:
        plans: The classes.
        own: The same in the user's data set; the class drawn least often keeps it.
    """
    rates = [plan.share / len(plan.clips) for plan in plans]
    return [round(own * rate / min(rates)) for rate in rates]


def rounding_text(plans: list[ClassPlan], own: int) -> list[str]:
    """Say which shares whole numbers of repeats miss by more than a hundredth."""
    draws = [
        times * len(plan.clips) for plan, times in zip(plans, whole_passes(plans, own))
    ]
    return [
        f"{plan.name}: {100 * each / sum(draws):.1f} % of an epoch, as repeats are"
        f" whole numbers; wanted are {100 * plan.share:.1f} %"
        for plan, each in zip(plans, draws)
        if abs(each / sum(draws) - plan.share) > 0.01
    ]


def best_offset(wanted: LevelDistribution, scale: float, shift: float) -> float:
    """Return the offset whose levels are closest to the wanted ones.

    Args:
        wanted: The levels wanted.
        scale: ``flow_sigmoid_scale``.
        shift: Timestep shift.

    Returns:
        The offset that minimises the Kolmogorov-Smirnov distance, to 0.001.
    """
    reached = wanted.cdf(COARSE)

    def distance(offset: float) -> float:
        drawn = logit_normal(scale * offset, scale).shifted(shift)
        return float(np.abs(drawn.cdf(COARSE) - reached).max())

    grid = np.linspace(-LARGEST, LARGEST, 33)
    middle = grid[int(np.argmin([distance(float(each)) for each in grid]))]
    step = float(grid[1] - grid[0])
    found = minimize_scalar(
        distance, bounds=(middle - step, middle + step), method="bounded"
    )
    return round(float(found.x), 3)


def other_entries(options: Options, path: Path) -> list[Options]:
    """Return the entries that hold no clips: caches of text, conditions."""
    every = json.loads(read_text(backends_file(options, path)))
    return [each for each in every if each.get("dataset_type", "image") in OTHERS]
