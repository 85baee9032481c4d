"""LTX-2 trainer: a run for each band of each class, uniform in the band.

Runs are chained by ``model.load_checkpoint``. A class that may be used everywhere keeps
the user's own sampling.
"""

from __future__ import annotations

import copy
from pathlib import Path
from shlex import quote

import yaml

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.exporting.configuration_files import (
    Options,
    get_table,
    get_whole,
    read_configuration,
)
from tqd_probe.exporting.ltx2 import Ltx2, no_video_levels, sampling
from tqd_probe.exporting.writers.export_job import (
    BandRun,
    ExportJob,
    Written,
    WrittenClass,
    WrittenPart,
    band_runs,
    is_whole,
    left_out_text,
    split_count,
)


def write(job: ExportJob, folder: Path) -> Written:
    """Write data sets, configurations and the chain; see `ExportJob`, `Written`."""
    table = read_configuration(job.config)
    if (why := no_video_levels(table)) is not None:
        raise InputError(f"{job.config}: {why}; bands are those of video")
    base = Ltx2().preview(job.config, job.shape).trained[0].levels
    plans, left_out = job.plan(base, None)
    chain = band_runs(plans)
    optimization = get_table(table, "optimization", job.config)
    steps = get_whole(optimization, "steps", 0, job.config)
    counts = split_count(steps, chain, f"{job.config}: optimization.steps")
    for plan in plans:
        clips = [
            {"caption": row.caption, "media_path": str(row.video.resolve())}
            for row in plan.clips
        ]
        write_json(folder / f"data-{plan.name}.json", clips)
    script, parts = ["#!/usr/bin/env bash", "set -e"], dict[str, list[WrittenPart]]()
    for number, (run, count) in enumerate(zip(chain, counts)):
        last = chain[number - 1] if number else None
        changed = run_table(job, table, run, last, count)
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
        (folder / f"{run.name}.yaml").write_text(text, encoding="utf-8")
        config = quote(f"{job.out / run.name}.yaml")
        script.append(f"uv run python scripts/train.py {config}")
        parts.setdefault(run.plan.name, []).append(
            WrittenPart(f"{run.name}.yaml", "all data sets", run.share)
        )
    (folder / "train.sh").write_text("\n".join(script) + "\n", encoding="utf-8")
    classes = [WrittenClass(plan, None, parts[plan.name]) for plan in plans]
    said = left_out_text(left_out)
    said.append("one run per band, each from the weights of the last; golden last")
    mode, _ = sampling(table, job.config)
    if mode != "uniform":
        said.append(
            f"{mode} has no range: inside bands levels are uniform, which is not its"
            " density cut to them; with timestep_sampling_mode uniform it would be"
        )
    todo = [
        "scripts/process_dataset.py for each"
        f" {job.out}/data-CLASS.json, --output-dir {job.out}/preprocessed/CLASS",
        f"bash {quote(str(job.out / 'train.sh'))}, in packages/ltx-trainer",
    ]
    return Written(classes, todo, said)


def run_table(
    job: ExportJob, table: Options, run: BandRun, last: BandRun | None, steps: int
) -> Options:
    """Return the configuration of a run: the user's, with other values."""
    changed = copy.deepcopy(table)
    for name in ("optimization", "data", "model", "checkpoints"):
        if name in table or name != "checkpoints":
            changed[name] = get_table(changed, name, job.config)
    changed["optimization"]["steps"] = steps
    root = job.out / "preprocessed" / run.plan.name
    changed["data"]["preprocessed_data_root"] = str(root)
    changed["output_dir"] = str(job.out / "output" / run.name)
    if last is not None:
        changed["model"]["load_checkpoint"] = str(job.out / "output" / last.name)
        changed.setdefault("checkpoints", {})["no_resume"] = True
    if not is_whole(run.plan.bands):
        low, high = run.band
        own_mode, own = sampling(table, job.config)
        if own_mode == "uniform":  # the base density has ends of its own
            low, high = max(low, own["min_value"]), min(high, own["max_value"])
        changed["flow_matching"] = {
            "timestep_sampling_mode": "uniform",
            "timestep_sampling_params": {"min_value": low, "max_value": high},
        }
    return changed
