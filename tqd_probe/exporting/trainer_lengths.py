"""Lengths of the trainers' runs, by their sources (read as the modules of each say)."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.clips.tables import read_table
from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Options,
    find_beside,
    get_number,
    get_table,
    get_whole,
)
from tqd_probe.exporting.not_modelled import Activity, epoch_share
from tqd_probe.exporting.run_length import (
    DataSet,
    RunLength,
    count_clips,
    count_rows,
    name_of,
    read_data_sets,
    repeats_of,
    whole_or_none,
)


def diffsynth_length(options: Options, name: str, path: Path) -> RunLength:
    """Return the length of a launch (`diffusion/runner.py`: one clip per step).

    Args:
        options: Options of the launch.
        name: Its name in a script with several.
        path: The script.

    Returns:
        The length; rows are counted where the metadata are on this machine.
    """
    metadata = options.get("dataset_metadata_path")
    try:
        rows: int | None = len(read_table(find_beside(path, str(metadata or "")))[1])
    except InputError:
        rows = None
    times = get_whole(options, "dataset_repeat", 1, path)
    return RunLength(
        run=name,
        epochs=get_whole(options, "num_epochs", 1, path),
        data_sets=(DataSet(name_of(metadata), rows, times),),
    )


def simpletuner_length(
    options: Options, backends: list[Options], path: Path
) -> RunLength:
    """Return the length of a run, and its data sets.

    An epoch ends when each data set was gone through 1 + ``repeats`` times
    (`helpers/data_backend/runtime/dataloader_iterator.py`). Data sets may join or leave
    with an epoch (`not_modelled.Activity`).

    Args:
        options: Settings of the run.
        backends: Settings of the data sets.
        path: The file of the run's settings.

    Returns:
        The length; steps of 0 are none.

    Raises:
        InputError: If repeats are below 0.
    """
    ends = {
        key: options[key]
        for key in ("num_train_epochs", "max_train_steps")
        if options.get(key) not in (None, 0, "0")
    }
    epochs = whole_or_none(ends, "num_train_epochs", path)
    steps = whole_or_none(ends, "max_train_steps", path)
    sets = []
    for number, each in enumerate(backends, 1):
        again = get_number(each, "repeats", 0.0, path)
        if again < 0:
            raise InputError(
                f"{path}: data_backend_config: repeats: {again:g} must be 0 or above;"
                " correct it"
            )
        clips = count_clips(path, each.get("instance_data_dir"), deep=True)
        if get_number(each, "probability", 1.0, path) == 0:
            clips = 0
        name = str(each.get("id", f"data set {number}"))
        activity = Activity.of(each, path)
        active = epoch_share(activity, epochs, steps)
        when = activity.text() if active < 1 else ""
        sets.append(DataSet(name, clips, active * (1 + int(again)), when))
    passes = get_whole(options, "gradient_accumulation_steps", 1, path)
    return RunLength(
        epochs=epochs,
        steps=steps,
        batch=passes * get_whole(options, "train_batch_size", 1, path),
        data_sets=tuple(sets),
    )


def musubi_length(options: Options, name: str, path: Path) -> RunLength:
    """Return the length of a run, and its data sets (`dataset/config_utils.py`).

    Args:
        options: Options of the run.
        name: Its name in a file with several.
        path: The file.

    Returns:
        The length; epochs override steps, whose default is 1600.
    """
    table, entries = read_data_sets(path, options.get("dataset_config"), "datasets")
    general = get_table(table, "general", path)
    epochs = whole_or_none(options, "max_train_epochs", path)
    steps = (
        get_whole(options, "max_train_steps", 1600, path) if epochs is None else None
    )
    merged = [general | entry for entry in entries]
    batches = {get_whole(each, "batch_size", 1, path) for each in merged}
    passes = get_whole(options, "gradient_accumulation_steps", 1, path)
    return RunLength(
        run=name,
        epochs=epochs,
        steps=steps,
        batch=passes * (batches.pop() if len(batches) == 1 else 1),
        data_sets=tuple(musubi_data_set(each, path) for each in merged),
        missing="" if table else str(options.get("dataset_config", "")),
    )


def musubi_data_set(entry: Options, path: Path) -> DataSet:
    """Return a data set: its videos or images, times the items made of each.

    Args:
        entry: Its settings.
        path: The file of the run, for messages.

    Returns:
        The data set; the count is not known where items depend on a video's length.
    """
    kind = (
        "video" if {"video_directory", "video_jsonl_file"} & entry.keys() else "image"
    )
    place = entry.get(f"{kind}_directory", entry.get(f"{kind}_jsonl_file"))
    counter = count_clips if f"{kind}_directory" in entry else count_rows
    clips = counter(path, place)
    items: float = 1
    if kind == "video":
        frames = entry.get("target_frames")
        items = len(frames) if isinstance(frames, list) else 1
        extraction = entry.get("frame_extraction", "head")
        if extraction == "uniform":
            items *= get_whole(entry, "frame_sample", 1, path)
        elif extraction != "head":
            clips = None
    return DataSet(name_of(place), clips, items * repeats_of(entry, 1, path))


def diffusion_pipe_length(table: Options, path: Path) -> RunLength:
    """Return the length of a run, and its data sets (`train.py`, `utils/dataset.py`).

    Args:
        table: The configuration.
        path: Its file.

    Returns:
        The length. A clip is drawn once for each resolution and repeat in an epoch.
    """
    data, entries = read_data_sets(path, table.get("dataset"), "directory")
    batch = table.get("micro_batch_size_per_gpu", 1)
    passes = get_whole(table, "gradient_accumulation_steps", 1, path)
    usual = repeats_of(data, 1, path)
    sets = []
    for entry in entries:
        sizes = entry.get("resolutions", data.get("resolutions"))
        times = len(sizes) if isinstance(sizes, list) and sizes else 1
        sets.append(
            DataSet(
                name=name_of(entry.get("path")),
                clips=count_clips(path, entry.get("path")),
                times=times * repeats_of(entry, usual, path),
            )
        )
    return RunLength(
        epochs=whole_or_none(table, "epochs", path),
        steps=whole_or_none(table, "max_steps", path),
        batch=passes * (batch if isinstance(batch, int) else 1),
        data_sets=tuple(sets),
        missing="" if data else str(table.get("dataset", "")),
    )


def ltx2_length(table: Options, path: Path) -> RunLength:
    """Return the length of a run; its one data root has no repeats."""
    found = get_table(table, "optimization", path)
    passes = get_whole(found, "gradient_accumulation_steps", 1, path)
    return RunLength(
        steps=whole_or_none(found, "steps", path),
        batch=passes * get_whole(found, "batch_size", 1, path),
    )


def ai_toolkit_length(process: Options, name: str, path: Path) -> RunLength:
    """Return the length of a training, and its data sets (`toolkit/data_loader.py`).

    Args:
        process: Its settings.
        name: Its name in a file with several.
        path: The file.

    Returns:
        The length; data sets are joined, so that repeats weigh them.
    """
    train = get_table(process, "train", path)
    entries = process.get("datasets")
    sets = [e for e in entries if isinstance(e, dict)] if entries else []
    passes = max(
        get_whole(train, key, 1, path)
        for key in ("gradient_accumulation", "gradient_accumulation_steps")
    )
    places = [each.get("folder_path", each.get("dataset_path")) for each in sets]
    return RunLength(
        run=name,
        steps=get_whole(train, "steps", 1000, path),
        batch=passes * get_whole(train, "batch_size", 1, path),
        data_sets=tuple(
            DataSet(
                name=name_of(place),
                clips=count_clips(path, place, deep=True),
                times=repeats_of(each, 1, path),
            )
            for place, each in zip(places, sets)
        ),
    )


def nemo_length(table: Options, path: Path) -> RunLength:
    """Return the length of a run (`components/training/step_scheduler.py`)."""
    found = get_table(table, "step_scheduler", path)
    size = "global_batch_size" if found.get("global_batch_size") else "local_batch_size"
    return RunLength(
        epochs=whole_or_none(found, "num_epochs", path),
        steps=whole_or_none(found, "max_steps", path),
        batch=get_whole(found, size, 1, path),
    )


def fastvideo_length(training: Options, path: Path) -> RunLength:
    """Return the length of a run, by its table ``training``."""
    loop, data = (get_table(training, name, path) for name in ("loop", "data"))
    passes = get_whole(loop, "gradient_accumulation_steps", 1, path)
    return RunLength(
        steps=whole_or_none(loop, "max_train_steps", path),
        batch=passes * get_whole(data, "train_batch_size", 1, path),
    )
