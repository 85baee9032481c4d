"""diffusion-pipe: a run for each band of each class, chained by ``init_from_existing``.

The folder of a run's last epoch is known when it ends; the script puts it into the next
configuration in place of `PREVIOUS`.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Options,
    find_beside,
    get_table,
    get_whole,
    read_configuration,
    read_text,
)
from tqd_probe.exporting.diffusion_pipe import (
    expert_of,
    family_of,
    misplaced,
    model_levels,
)
from tqd_probe.exporting.edit_configuration import set_toml, toml_text
from tqd_probe.exporting.writers.class_folders import link_clips
from tqd_probe.exporting.writers.export_job import (
    BandRun,
    ExportJob,
    Written,
    WrittenClass,
    WrittenPart,
    band_runs,
    left_out_text,
    split_count,
)

PREVIOUS = "@PREVIOUS@"
SAVES = r"\( -name 'epoch*' -o -name 'step*' \) -printf '%T@ %p\n'"
NEWEST = "sort -n | tail -n 1 | cut -d ' ' -f 2-"
ESCAPED = r's/[\\"]/\\&/g; s/[\\&|]/\\&/g'  # for a text of TOML, then for sed


def write(job: ExportJob, folder: Path) -> Written:
    """Write data sets, configurations and the chain; see `ExportJob`, `Written`."""
    table = read_configuration(job.config)
    model = get_table(table, "model", job.config)
    family = family_of(model, job.config)
    if family != "wan":
        raise InputError(
            f"{job.config}: model.type: {family} reads no min_t and max_t, Wan alone"
            " does; bands cannot be carried"
        )
    found = misplaced(table)
    if found:
        raise InputError(f"{job.config}: {found[0]}")
    base, _ = model_levels(model, job.config, job.shape)
    plans, left_out = job.plan(base, expert_of(model))
    chain = band_runs(plans)
    steps = run_steps(table, chain, job)
    data = data_settings(table, job)
    for plan in plans:
        link_clips(plan.clips, folder / "data" / plan.name)
    script, parts = ["#!/usr/bin/env bash", "set -e"], dict[str, list[WrittenPart]]()
    for number, run in enumerate(chain):
        text = run_text(job, table, run, steps[number], first=number == 0)
        (folder / f"{run.name}.toml").write_text(text, encoding="utf-8")
        entry = data["directory"][0] | {"path": str(job.out / "data" / run.plan.name)}
        text = toml_text(data | {"directory": [entry]}, job.config)
        (folder / f"data-{run.plan.name}.toml").write_text(text, encoding="utf-8")
        script += run_lines(job, run, chain[number - 1] if number else None)
        parts.setdefault(run.plan.name, []).append(
            WrittenPart(f"{run.name}.toml", "all data sets", run.share)
        )
    text = "\n".join(script) + "\n"
    (folder / "train.sh").write_text(text, encoding="utf-8")
    expert = expert_of(model)
    classes = [WrittenClass(plan, expert, parts[plan.name]) for plan in plans]
    said = left_out_text(left_out, expert)
    said.append("one run per band, each from the adapter of the last; golden last")
    todo = [f"bash {quote(str(job.out / 'train.sh'))}, in the folder of diffusion-pipe"]
    return Written(classes, todo, said)


def data_settings(table: Options, job: ExportJob) -> Options:
    """Return the table of the user's data set whose settings the classes take.

    Raises:
        InputError: If it has not one directory.
    """
    source = find_beside(job.config, str(table.get("dataset") or ""), "dataset")
    data = read_configuration(source)
    toml_text(data, source)  # refused here, before anything is written
    entries = data.get("directory")
    whole = isinstance(entries, list) and all(isinstance(e, dict) for e in entries)
    if not whole or len(entries or []) != 1:
        raise InputError(
            f"{source}: needs one [[directory]], whose settings the classes take"
        )
    return data


def run_steps(table: Options, chain: list[BandRun], job: ExportJob) -> list[Options]:
    """Return the steps that end each run; none where epochs alone do."""
    if table.get("max_steps") is None:
        return [{} for _ in chain]
    total = get_whole(table, "max_steps", 1, job.config)
    counts = split_count(total, chain, f"{job.config}: max_steps")
    return [{"max_steps": count} for count in counts]


def run_text(
    job: ExportJob, table: Options, run: BandRun, steps: Options, first: bool
) -> str:
    """Return the configuration of a run: the user's, with other keys."""
    text = read_text(job.config)
    epochs = get_whole(table, "epochs", 1, job.config)
    top: Options = {
        "output_dir": str(job.out / "output" / run.name),
        "dataset": str(job.out / f"data-{run.plan.name}.toml"),
        "epochs": max(round(epochs * run.passes), 1),
        **steps,
    }
    if "resume_from_checkpoint" in table:  # the folders of the runs are new
        top["resume_from_checkpoint"] = None
    text = set_toml(text, "", top, job.config)
    ends = {"min_t": run.band[0], "max_t": run.band[1]}
    text = set_toml(text, "model", ends, job.config)
    if not first and get_table(table, "adapter", job.config):
        text = set_toml(text, "adapter", {"init_from_existing": PREVIOUS}, job.config)
    elif not first:
        raise InputError(
            f"{job.config}: adapter: missing; runs are chained through a LoRA"
        )
    return text


def run_lines(job: ExportJob, run: BandRun, last: BandRun | None) -> list[str]:
    """Return the lines of the script that make a run."""
    config = quote(str(job.out / f"{run.name}.toml"))
    lines = [""]
    if last is not None:
        output = quote(str(job.out / "output" / last.name))
        # Read 2026-08, 8f83dbf, `train.py`: the last save is named epoch*, or step*
        # where max_steps ends the run.
        lines.append(
            f"LAST=$(find {output} -maxdepth 2 -mindepth 2 {SAVES} | {NEWEST})"
        )
        lines.append('test -n "$LAST"')
        lines.append(f"LAST=$(printf %s \"$LAST\" | sed '{ESCAPED}')")
        lines.append(f'sed -i "s|{PREVIOUS}|$LAST|" {config}')
    lines.append(f"deepspeed --num_gpus=1 train.py --deepspeed --config {config}")
    return lines
