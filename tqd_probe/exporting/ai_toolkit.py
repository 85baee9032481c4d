"""ai-toolkit: levels per run, `jobs/process/BaseSDTrainProcess.py` (read 2026-08).

An index from ``min_denoising_steps`` up to, and without, ``max_denoising_steps`` picks
from a list of 1000 levels that falls from noise
(`toolkit/samplers/custom_flowmatch_sampler.py`). The list of ``sigmoid``, the default,
is drawn anew for every batch and sorted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma
from tqd_probe.exporting.ai_toolkit_lists import (
    STEPS,
    blended,
    blended_lists,
    index_chances,
    sigmoid_lists,
    sorted_draws,
)
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_table,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    on_grid,
    weighted,
)
from tqd_probe.exporting.run_length import (
    RunLength,
    by_data_set,
    has_videos,
    weigh_runs,
)
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import ai_toolkit_length

BOUNDARY = 0.875  # of Wan 2.2 14B in training, also of I2V (0.9 in sampling)
TWO_NETWORKS = ("wan22_14b", "wan22_14b_i2v")
STAGES = {  # indices of the list ``linear`` that each network gets
    "high": (0, 124),
    "low": (125, 999),
}
FIXED_INDICES = {
    "one_step": [0],
    "two_step": [0, 499],
    "four_step": [0, 250, 500, 750],
    "eight_step": [0, 125, 250, 375, 500, 625, 750, 875],
}
SHIFTS = {  # of the models' schedulers
    "wan21": 3.0,
    "wan21_i2v": 3.0,
    "wan22_5b": 5.0,
    "wan22_14b": 3.0,
    "wan22_14b_i2v": 3.0,
}
SHIFTED = ("shift", "flux_shift", "lumina2_shift")  # one list, by three names
LIMITS = ("min_denoising_steps", "max_denoising_steps")


@dataclass(frozen=True)
class AiToolkit:
    """Reads the YAML (or JSON) configurations of ai-toolkit."""

    name: str = field(default="ai-toolkit", init=False)
    title: str = field(default="ai-toolkit", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix not in (".yaml", ".yml", ".json"):
            return False
        try:
            table = read_configuration(path)
        except InputError:
            return False
        inner = table.get("config")
        return isinstance(inner, dict) and isinstance(inner.get("process"), list)

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        trained: list[list[TrainedLevels]] = []
        lengths: list[RunLength] = []
        traps: list[str] = []
        notes: list[str] = []
        processes = read_processes(path)
        for number, process in enumerate(processes, 1):
            name = EVERY if len(processes) == 1 else f"process {number}"
            length = ai_toolkit_length(process, "" if name == EVERY else name, path)
            rows = []
            train = get_table(process, "train", path)
            model = get_table(process, "model", path)
            refuse_other_schedulers(train, path)
            for expert, ends, share in networks(train, model, path):
                levels, rule = network_levels(train, model, expert, ends, path)
                whole = TrainedLevels(name, levels, rule, expert, share)
                rows += by_data_set(whole, length)
            trained.append(rows)
            lengths.append(length)
            traps += find_traps(train, model, path) + image_traps(process, path)
            notes += find_notes(train, model)
        return TimestepPreview(
            self.title,
            path,
            weigh_runs(trained, lengths),
            traps,
            notes,
            [each.text() for each in lengths],
        )


def read_processes(path: Path) -> list[Options]:
    """Read the trainings of a configuration.

    Args:
        path: The file.

    Returns:
        Settings of each training.

    Raises:
        InputError: If there are none.
    """
    inner = get_table(read_configuration(path), "config", path)
    found = inner.get("process")
    if not isinstance(found, list) or not all(isinstance(e, dict) for e in found):
        raise InputError(f"{path}: config.process: missing; give ai-toolkit's file")
    return found


def refuse_other_schedulers(train: Options, path: Path) -> None:
    """Refuse a training that is no flow matching.

    Raises:
        InputError: If ``noise_scheduler`` is another, or its list has another length.
    """
    found = train.get("noise_scheduler", "ddpm")
    if found != "flowmatch":
        raise InputError(
            f"{path}: train.noise_scheduler: {found!r}; levels are known of flowmatch"
        )
    if get_number(train, "num_train_timesteps", STEPS, path) != STEPS:
        raise InputError(
            f"{path}: train.num_train_timesteps: levels are known of {STEPS}; leave it"
            " out"
        )


def index_range(train: Options, path: Path) -> tuple[int, int]:
    """Return ``min_denoising_steps`` and ``max_denoising_steps``, as they are clipped.

    Raises:
        InputError: If no index lies between them.
    """
    low = int(max(get_number(train, LIMITS[0], 0, path), 0))
    high = int(min(get_number(train, LIMITS[1], 999, path), STEPS - 1))
    if low > high:
        raise InputError(
            f"{path}: train.{LIMITS[0]}: {low} is above {LIMITS[1]} {high}; both count"
            " from the noise end"
        )
    return low, high


def arch_of(model: Options) -> str:
    """Return ``model.arch`` without the tag that the trainer's pages put behind it.

    Read 2026-08, 27a03a9: `toolkit/config_modules.py`, `ModelConfig`.
    """
    return str(model.get("arch")).partition(":")[0]


def networks(
    train: Options, model: Options, path: Path
) -> list[tuple[str | None, tuple[int, int], float]]:
    """Return the networks that are trained, with their indices and share of steps."""
    if arch_of(model) not in TWO_NETWORKS:
        return [(None, index_range(train, path), 1.0)]
    wanted = get_table(model, "model_kwargs", path)
    kept = [name for name in STAGES if wanted.get(f"train_{name}_noise", True)]
    return [(name, STAGES[name], 1 / len(kept)) for name in kept]


def timestep_type(train: Options) -> str:
    """Return which list of levels is used."""
    if train.get("linear_timesteps") or train.get("linear_timesteps2"):
        return "linear"
    return str(train.get("timestep_type", "sigmoid"))


def network_levels(
    train: Options,
    model: Options,
    expert: str | None,
    ends: tuple[int, int],
    path: Path,
) -> tuple[LevelDistribution, str]:
    """Return the levels of a network.

    The range of one of two networks is where the list of the step crosses the boundary
    (`BaseSDTrainProcess.py`, ``is_multistage``; read 2026-08, 27a03a9). For ``linear``
    these are the indices `STAGES`; other lists cross it elsewhere.

    Args:
        train: Settings of the training.
        model: Settings of the model.
        expert: ``high`` or ``low``; None for a model of one network.
        ends: First index, and the one after the last, of ``linear``.
        path: The file, for messages.

    Returns:
        The distribution of sigma, and the rule in words.

    Raises:
        InputError: If the list of levels is not known.
    """
    kind = timestep_type(train)
    if expert is None or kind in ("linear", "weighted", *FIXED_INDICES):
        return index_levels(train, model, ends, path)
    if kind in SHIFTED:
        lists = shift_grid(model, path)[None]
    elif kind == "sigmoid":
        lists = sigmoid_lists()
    elif kind == "lognorm_blend":
        lists = blended_lists()
    else:
        return index_levels(train, model, ends, path)  # refuses it
    chances = []
    for levels in lists:
        last = STEPS - 1
        above, from_it = ((levels > BOUNDARY).sum(), (levels >= BOUNDARY).sum())
        if expert == "low":
            first, end = max(int(from_it) - 1, 0), last
        else:  # the whole list, where no level is above the boundary
            first, end = 0, int(above) - 1 if above else last
        chances.append(index_chances(train, first, end))
    found = weighted(lists.ravel(), np.ravel(chances) / len(lists))
    return found, f"{kind}, levels {'from' if expert == 'high' else 'to'} {BOUNDARY:g}"


def index_levels(
    train: Options, model: Options, ends: tuple[int, int], path: Path
) -> tuple[LevelDistribution, str]:
    """Return the levels of a range of indices.

    Args:
        train: Settings of the training.
        model: Settings of the model.
        ends: First index, and the one after the last.
        path: The file, for messages.

    Returns:
        The distribution of sigma, and the rule in words.

    Raises:
        InputError: If the list of levels is not known.
    """
    kind, (first, end) = timestep_type(train), ends
    linear = np.linspace(1000, 1, STEPS) / 1000
    if kind in FIXED_INDICES:
        return on_grid(linear[FIXED_INDICES[kind]]), kind
    chances = index_chances(train, first, end)
    words = f"{kind}, index {first} to {max(end - 1, first)}"
    style = str(train.get("content_or_style", "balanced"))
    words += f", {style}" if style != "balanced" else ""
    if kind in ("linear", "weighted"):
        return weighted(linear, chances), words
    if kind in SHIFTED:
        return weighted(shift_grid(model, path), chances), words
    if kind == "sigmoid":
        return sorted_draws(chances), words
    if kind == "lognorm_blend":
        return blended(chances), f"{words} (200 lists drawn)"
    raise InputError(
        f"{path}: train.timestep_type: {kind!r}: its levels are not known; use linear"
    )


def shift_grid(model: Options, path: Path) -> np.ndarray:
    """Return the list of ``shift``: that of diffusers, shifted a second time.

    Raises:
        InputError: If the model's scheduler is not known.
    """
    arch = arch_of(model)
    if arch not in SHIFTS:
        raise InputError(
            f"{path}: train.timestep_type: shift: that of {arch} is not known here; use"
            " linear"
        )
    lowest = float(shift_sigma(np.array(1 / STEPS), SHIFTS[arch]))
    return np.asarray(shift_sigma(np.linspace(1.0, lowest, STEPS), SHIFTS[arch]))


def find_traps(train: Options, model: Options, path: Path) -> list[str]:
    """Name what the settings do not do."""
    traps = []
    given = [name for name in LIMITS if name in train]
    kind = timestep_type(train)
    if arch_of(model) in TWO_NETWORKS:
        if given:
            traps.append(
                f"{', '.join(given)}: overwritten for Wan 2.2 14B: the high-noise"
                f" network gets sigma {BOUNDARY:g}-1, the low-noise one the rest"
            )
    elif given and kind in FIXED_INDICES:
        traps.append(f"{', '.join(given)}: ignored by timestep_type {kind}")
    elif given and kind == "sigmoid":
        first, end = index_range(train, path)
        traps.append(
            f"{', '.join(given)}: ranks of a list drawn anew for each batch, not"
            f" levels: index {first} to {end} of timestep_type sigmoid; for levels use"
            " timestep_type linear, index = 1000 (1 - sigma)"
        )
    elif kind == "next_sample":
        traps.append("timestep_type next_sample: levels of a simulated sampling")
    if "timestep_type" not in train and not given:
        traps.append("timestep_type: not set, and its default is sigmoid")
    return traps


def image_traps(process: Options, path: Path) -> list[str]:
    """Name folders whose videos are not read, where they are on this machine."""
    sets = process.get("datasets")
    found = [e for e in sets if isinstance(e, dict)] if isinstance(sets, list) else []
    return [
        f"datasets: {each['folder_path']}: num_frames is 1, its default, so that images"
        " alone are read; set it to the frames of a clip"
        for each in found
        if not reads_videos(each) and has_videos(path, each.get("folder_path"))
    ]


def reads_videos(data_set: Options) -> bool:
    """Return whether videos of a data set are read, and not its images alone.

    Read 2026-08, 27a03a9: `toolkit/data_loader.py`, ``is_video``.
    """
    frames = data_set.get("num_frames", 1)
    many = isinstance(frames, (int, float)) and frames > 1
    return many or bool(data_set.get("auto_frame_count"))


def find_notes(train: Options, model: Options) -> list[str]:
    """Name what else weighs on the levels."""
    notes = []
    if timestep_type(train) == "weighted" or train.get("linear_timesteps"):
        notes.append("the loss is weighted by noise level")
    if arch_of(model) in TWO_NETWORKS:
        notes.append(
            "steps alternate between the networks (switch_boundary_every), whatever"
            " share of the levels each has"
        )
    return notes
