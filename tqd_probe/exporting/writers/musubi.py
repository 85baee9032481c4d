"""musubi-tuner: a run for each band of each class, chained by ``--network_weights``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    SCRIPTS,
    Literal,
    Options,
    find_beside,
    get_number,
    get_whole,
    read_configuration,
    read_text,
    split_commands,
)
from tqd_probe.exporting.edit_configuration import (
    command_text,
    set_options,
    set_toml,
    toml_text,
)
from tqd_probe.exporting.musubi import (
    SCRIPT,
    STEPS,
    MusubiRun,
    flattened,
    read_runs,
    run_levels,
)
from tqd_probe.exporting.writers.class_folders import write_rows
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

SCRIPTS_OF = {  # start of the name of the script that trains a network module
    "lora": "hv",
    "lora_wan": "wan",
    "lora_hv_1_5": "hv_1_5",
    "lora_framepack": "fpack",
    "lora_kandinsky": "kandinsky5",
}


def write(job: ExportJob, folder: Path) -> Written:
    """Write data sets, configurations and the chain; see `ExportJob`, `Written`."""
    runs = read_runs(job.config)
    if len(runs) != 1:
        raise InputError(f"{job.config}: {len(runs)} launches; give one at a time")
    own = with_modes_that_cut(runs[0])
    if own.ends != (0.0, 1.0):
        raise InputError(
            f"{job.config}: min_timestep, max_timestep: bands take their place; leave"
            " them out"
        )
    base, _ = run_levels(own, job.shape)
    plans, left_out = job.plan(base, None)
    chain = band_runs(plans)
    lengths = run_lengths(own, chain)
    data = data_settings(own)
    previous: str | None = None
    commands, parts = [], dict[str, list[WrittenPart]]()
    for run, length in zip(chain, lengths):
        write_data_set(data, run, job, folder)
        changes = run_options(own, run, job) | length
        output = f"{own.options.get('output_name', 'lora')}-{run.name}"
        changes |= {"output_name": output}
        if previous is not None:
            changes["network_weights"] = previous
        elif "network_weights" in own.options:
            changes["network_weights"] = own.options["network_weights"]
        where = own.options.get("output_dir", Literal(job.out / "output"))
        kind = Literal if isinstance(where, Literal) else str
        changes["output_dir"] = where
        previous = kind(f"{where}/{output}.safetensors")
        name, command = write_run(job, run, changes, folder)
        commands.append(command)
        parts.setdefault(run.plan.name, []).append(
            WrittenPart(name, "all data sets", run.share)
        )
    text = "#!/usr/bin/env bash\nset -e\n\n" + "\n\n".join(commands) + "\n"
    (folder / "train.sh").write_text(text, encoding="utf-8")
    classes = [WrittenClass(plan, None, parts[plan.name]) for plan in plans]
    steps = [
        f"cache latents and texts of each {job.out}/data-*.toml (--dataset_config)",
        f"bash {quote(str(job.out / 'train.sh'))}, in the folder of musubi-tuner",
    ]
    said = left_out_text(left_out)
    said.append("one run per band, each from the weights of the last; golden last")
    if own.mode != runs[0].mode:
        said.append(
            "timestep_sampling sigma (the default) turns ranges round; uniform, which"
            " draws the same levels, takes its place"
        )
    return Written(classes, steps, said)


def with_modes_that_cut(run: MusubiRun) -> MusubiRun:
    """Return a run whose mode cuts its density to a range, with the same levels.

    Raises:
        InputError: If there is no such mode.
    """
    if run.mode != "sigma":
        return run
    if run.options.get("weighting_scheme") in ("logit_normal", "mode"):
        raise InputError(
            f"{run.path}: weighting_scheme {run.options['weighting_scheme']}: its mode"
            " (timestep_sampling sigma) turns ranges round and squeezes the density;"
            " use --timestep_sampling sigmoid, shift or logsnr"
        )
    return replace(run, options=run.options | {"timestep_sampling": "uniform"})


def run_options(own: MusubiRun, run: BandRun, job: ExportJob) -> Options:
    """Return the options that a run changes."""
    low, high = (round(STEPS * end) for end in run.band)
    if low == high:
        raise InputError(
            f"{own.path}: the band {run.band[0]:g}-{run.band[1]:g} of {run.plan.name}"
            " is narrower than a timestep"
        )
    return {
        "timestep_sampling": own.mode,
        "min_timestep": low,
        "max_timestep": high,
        "preserve_distribution_shape": True,
        "dataset_config": Literal(job.out / f"data-{run.name}.toml"),
    }


def run_lengths(own: MusubiRun, chain: list[BandRun]) -> list[Options]:
    """Return the length of each run: steps by its draws, or the same epochs.

    A class's clips are the share of an epoch that the class has of all draws, so that
    equal epochs give equal shares; a band of several gets its part of them.
    """
    if own.options.get("max_train_epochs") is not None:
        epochs = get_whole(own.options, "max_train_epochs", 1, own.path)
        return [{"max_train_epochs": max(round(epochs * r.passes), 1)} for r in chain]
    total = get_whole(own.options, "max_train_steps", 1600, own.path)  # its default
    counts = split_count(total, chain, f"{own.path}: max_train_steps")
    return [{"max_train_steps": count} for count in counts]


def data_settings(own: MusubiRun) -> Options:
    """Return the tables of the user's data sets whose settings the classes take.

    Raises:
        InputError: If there is not one data set of videos.
    """
    source = find_beside(
        own.path, str(own.options.get("dataset_config") or ""), "dataset_config"
    )
    table = read_configuration(source)
    toml_text(table, source)  # refused here, before anything is written
    sets = table.get("datasets")
    entries = sets if isinstance(sets, list) else []
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{source}: datasets: needs tables, [[datasets]]; correct it")
    videos = [e for e in entries if {"video_directory", "video_jsonl_file"} & e.keys()]
    if len(videos) != 1:
        raise InputError(
            f"{source}: {len(videos)} data sets of videos; leave the one whose settings"
            " the classes take"
        )
    entry = {
        name: value
        for name, value in videos[0].items()
        if name not in ("video_directory", "video_jsonl_file", "cache_directory")
    }
    return table | {"datasets": [entry]}


def write_data_set(data: Options, run: BandRun, job: ExportJob, folder: Path) -> None:
    """Write the clips of a run, and the table that names them."""
    get_number(data["datasets"][0], "num_repeats", 1, job.config)
    rows = [
        {"video_path": str(clip.video.resolve()), "caption": clip.caption}
        for clip in run.plan.clips
    ]
    clips = f"clips-{run.plan.name}.jsonl"
    write_rows(folder / clips, rows)
    entry = data["datasets"][0] | {
        "video_jsonl_file": str(job.out / clips),
        "cache_directory": str(job.out / "cache" / run.plan.name),
    }
    text = toml_text(data | {"datasets": [entry]}, job.config)
    (folder / f"data-{run.name}.toml").write_text(text, encoding="utf-8")


def write_run(
    job: ExportJob, run: BandRun, changes: Options, folder: Path
) -> tuple[str, str]:
    """Write the configuration of a run.

    Args:
        job: The export.
        run: The run.
        changes: Options that it changes.
        folder: Where to write.

    Returns:
        Name of the file that says its levels, and the command of the run.
    """
    if job.config.suffix in SCRIPTS:
        words = next(w for w in split_commands(job.config) if SCRIPT in " ".join(w))
        at = next(k for k, word in enumerate(words) if SCRIPT in word) + 1
        command = command_text(set_options(words, at, changes))
        (folder / f"{run.name}.sh").write_text(command + "\n", encoding="utf-8")
        return f"{run.name}.sh", f"bash {quote(f'{job.out / run.name}.sh')}"
    text = read_text(job.config)
    table = read_configuration(job.config)
    for section, inner in table.items():
        if isinstance(inner, dict):
            gone = {name: None for name in changes if name in inner}
            text = set_toml(text, section, gone, job.config) if gone else text
    text = set_toml(text, "", changes, job.config)
    (folder / f"{run.name}.toml").write_text(text, encoding="utf-8")
    script = train_script(table, job.config)
    config = quote(f"{job.out / run.name}.toml")
    return f"{run.name}.toml", f"accelerate launch {script} --config_file {config}"


def train_script(table: Options, path: Path) -> str:
    """Return the trainer's script for a network module.

    Args:
        table: The table of ``--config_file``.
        path: Its file, for the message.

    Raises:
        InputError: If the module (LoHa, LoKr) is of no one script.
    """
    module = str(flattened(table).get("network_module", "networks.lora"))
    kind = SCRIPTS_OF.get(module.rpartition(".")[2])
    if kind is None:
        raise InputError(
            f"{path}: network_module: {module}: is of no one script; give the command"
            " line that launches it, in a script (.sh)"
        )
    return f"src/musubi_tuner/{kind}_{SCRIPT}"
