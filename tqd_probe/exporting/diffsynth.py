"""DiffSynth-Studio: levels per row, `diffusion/loss.py` (read 2026-08).

`FlowMatchSFTLoss` picks an index of a grid of 1000 levels that falls from noise
(`diffusion/flow_match.py`, `set_timesteps_wan` and its siblings), between
``min_timestep_boundary`` and ``max_timestep_boundary``, shares of the grid. Both are
options of a launch and, named by ``--extra_inputs``, columns of the metadata.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tqd_probe.clips.tables import read_table
from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma
from tqd_probe.exporting.configuration_files import (
    SCRIPTS,
    Options,
    find_beside,
    get_number,
    get_whole,
    parse_options,
    read_commands,
    split_commands,
)
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    mixture,
    on_grid,
)
from tqd_probe.exporting.resolution_shift import linear_mu
from tqd_probe.exporting.run_length import RunLength, weigh_runs
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import diffsynth_length

SCRIPT = "train.py"
IGNORED = "boundaries of a launch that reads a cache"
LIMITS = ("min_timestep_boundary", "max_timestep_boundary")
FOLDERS = {  # of examples with a train.py, and what tells the family by its files
    "wanvideo": "wan",
    "mova": "mova",
    "lingbot_video": "lingbot",
    "ltx2": "ltx",
    "minimax_h3": "minimax-h3",
}
WAN_SHIFT = 5.0  # set_timesteps_wan in training, whatever the model's own shift is
H3_SHIFT = 2.22  # set_timesteps_minimax_h3, of the video
LTX2_TOKENS = 4096  # dynamic_shift_len in training


@dataclass(frozen=True)
class DiffSynth:
    """Reads the launch scripts of DiffSynth-Studio, and their metadata."""

    name: str = field(default="diffsynth", init=False)
    title: str = field(default="DiffSynth-Studio", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix not in SCRIPTS:
            return False
        return any("dataset_base_path" in c for c in read_commands(path, SCRIPT))

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        trained: list[list[TrainedLevels]] = []
        lengths: list[RunLength] = []
        traps: list[str] = []
        commands = read_launches(path)
        for number, options in enumerate(commands, 1):
            name = EVERY if len(commands) == 1 else f"launch {number}"
            expert = expert_of(options)
            found = []
            for rows, levels, rule, share in launch_levels(options, path):
                place = name if rows is None else f"{name}: {rows}"
                found.append(TrainedLevels(place, levels, rule, expert, share))
            trained.append(found)
            lengths.append(
                diffsynth_length(options, "" if name == EVERY else name, path)
            )
            traps += find_traps(options, path)
        notes = [
            "the loss is weighted by a bell around sigma 0.5: both ends of the levels"
            " weigh little"
        ]
        return TimestepPreview(
            self.title,
            path,
            weigh_runs(trained, lengths),
            list(dict.fromkeys(traps)),
            notes,
            [each.text() for each in lengths],
        )


def script_place(words: list[str]) -> int:
    """Return where the options of a launch begin; 0 for other commands."""
    places = [k for k, word in enumerate(words) if SCRIPT in word]
    return places[0] + 1 if places else 0


def read_launches(path: Path) -> list[Options]:
    """Read the launches of a script that draw levels.

    A launch of task ``sft:train`` reads a cache, and the boundaries in it are those of
    the launch of ``sft:data_process`` that made it (`diffusion/runner.py`,
    `diffusion/training_module.py`, `split_pipeline_units`; read 2026-08, fed7b18).

    Args:
        path: A shell script.

    Returns:
        Options of each, and the name of its script by `SCRIPT`. Those that the cache
        decides are of the launch that made it.

    Raises:
        InputError: If it launches no training, or one that draws no levels.
    """
    found: list[Options] = []
    caches: dict[str, Options] = {}
    for words in split_commands(path):
        at = script_place(words)
        if not at:
            continue
        options = parse_options(words[at:]) | {SCRIPT: str(words[at - 1])}
        task, _, stage = str(options.get("task", "sft")).partition(":")
        if task != "sft":
            raise InputError(
                f"{path}: --task {task}: trains whole samplings and draws no levels;"
                " levels are known of task sft"
            )
        if stage == "data_process":
            caches[folder_of(options, "output_path")] = options
        elif stage == "train":
            cache = caches.get(folder_of(options, "dataset_base_path"), {})
            found.append(from_cache(options, cache, path))
        else:
            found.append(options)
    if not found:
        raise InputError(f"{path}: launches no {SCRIPT}; give the launch script")
    return found


def folder_of(options: Options, name: str) -> str:
    """Return a folder that an option names, written in one way."""
    return os.path.normpath(str(options.get(name, "")))


def from_cache(options: Options, cache: Options, path: Path) -> Options:
    """Return the options of a launch that reads a cache.

    Args:
        options: Its own.
        cache: Those of the launch that makes the cache; empty if it is not known.
        path: The script, for messages.

    Returns:
        The options that decide levels and length.
    """
    decided = (*LIMITS, "extra_inputs", "dataset_metadata_path")
    times = [get_whole(each, "dataset_repeat", 1, path) for each in (options, cache)]
    return (
        {name: value for name, value in options.items() if name not in decided}
        | {name: cache[name] for name in decided if name in cache}
        | {"dataset_repeat": times[0] * times[1]}
        | {IGNORED: [name for name in LIMITS if name in options]}
    )


def trained_grid(options: Options, path: Path) -> np.ndarray:
    """Return the level at which each index of a family's grid is trained.

    The timestep is cast to bfloat16 before its level is looked up, so that near noise,
    where timesteps lie closer than bfloat16 can tell, several indices share a level.

    Args:
        options: Options of the launch.
        path: The script, for the message.

    Returns:
        Levels, falling ``[1000]``.
    """
    levels = scheduler_grid(options, path)
    if family_of(options) == "minimax-h3":  # its timesteps stay float32
        return levels
    seen = bfloat16(1000 * levels)
    nearest = np.abs(1000 * levels[None, :] - seen[:, None]).argmin(1)
    return levels[nearest]


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Round numbers to bfloat16, half to even, same shape."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32).astype(np.int64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32).astype(float)


def scheduler_grid(options: Options, path: Path) -> np.ndarray:
    """Return the levels of a family's scheduler in training.

    Args:
        options: Options of the launch.
        path: The script, for the message.

    Returns:
        Levels, falling ``[1000]``.

    Raises:
        InputError: If the family's grid is not known here.
    """
    falling = np.linspace(1.0, 0.0, 1001)[:-1]
    family = family_of(options)
    if family == "ltx":
        shift = math.exp(linear_mu(LTX2_TOKENS, (1024, 0.95), (4096, 2.05)))
        level = shift_sigma(falling, shift)
        return 1 - (1 - level) * (1 - 0.1) / (1 - level[-1])  # ends at 0.1
    if family is not None:
        shift = H3_SHIFT if family == "minimax-h3" else WAN_SHIFT
        return shift_sigma(falling, shift)
    raise InputError(
        f"{path}: model_id_with_origin_paths: {models_of(options)[:60]!r}: levels are"
        " known of Wan, MOVA, LingBot, LTX-2 and MiniMax-H3; rename local folders so"
        " that the family is seen"
    )


def models_of(options: Options) -> str:
    """Return the files of the model that a launch names."""
    return str(options.get("model_id_with_origin_paths", options.get("model_paths")))


def family_of(options: Options) -> str | None:
    """Return the family of a launch, by the folder of its script or its files."""
    folder = Path(str(options.get(SCRIPT, ""))).parent.parent.name
    if folder in FOLDERS:
        return FOLDERS[folder]
    lower = models_of(options).lower()
    names = ("ltx", "minimax-h3", "wan", "mova", "lingbot", "skyreels")
    return next((name for name in names if name in lower), None)


def between(levels: np.ndarray, low: float, high: float, what: str) -> np.ndarray:
    """Return the levels between two boundaries, as the loss picks them.

    Args:
        levels: The grid, falling.
        low: ``min_timestep_boundary``.
        high: ``max_timestep_boundary``.
        what: File and place, for the message.

    Returns:
        Part of the grid.

    Raises:
        InputError: If there are none, or a boundary is no number (an empty cell).
    """
    if math.isnan(low) or math.isnan(high):
        raise InputError(f"{what}: a boundary is empty, which trains NaN; fill it in")
    ends = np.clip([low, high], -1.0, 2.0) * len(levels)  # an index is finite
    first, last = ends.astype(int).tolist()
    if not 0 <= first < last <= len(levels):
        raise InputError(
            f"{what}: boundaries {low:g} and {high:g} hold no level; they are shares of"
            " the grid from the noise end, 0 <= min < max <= 1"
        )
    return levels[first:last]


def launch_levels(
    options: Options, path: Path
) -> list[tuple[str | None, LevelDistribution, str, float]]:
    """Return the levels of a launch, by the boundaries of its rows.

    Args:
        options: Options of the launch.
        path: The script.

    Returns:
        For each class of rows (or all, as None): levels, rule, share of the draws.
    """
    levels = trained_grid(options, path)
    own = [get_number(options, name, end, path) for name, end in zip(LIMITS, (0, 1))]
    groups = row_boundaries(options, path, (own[0], own[1]))
    total = sum(len(rows) for rows in groups.values())
    found: list[tuple[str | None, LevelDistribution, str, float]] = []
    for name, rows in groups.items():
        parts = [
            (float(rows.count(pair)), on_grid(between(levels, *pair, what=str(path))))
            for pair in dict.fromkeys(rows)
        ]
        pairs = list(dict.fromkeys(rows))
        words = ", ".join(f"{low:.4g}-{high:.4g}" for low, high in pairs[:3])
        words += ", ..." if len(pairs) > 3 else ""
        drawn = mixture(parts)
        found.append((name, drawn, f"grid of 1000, part {words}", len(rows) / total))
    return found


def row_boundaries(
    options: Options, path: Path, own: tuple[float, float]
) -> dict[str | None, list[tuple[float, float]]]:
    """Return the boundaries of all rows, by class where the metadata name classes.

    Args:
        options: Options of the launch.
        path: The script.
        own: Boundaries of the launch.

    Returns:
        Lists of boundaries; the launch's alone where rows have none.

    Raises:
        InputError: If the metadata are needed and missing.
    """
    extra = {name.strip() for name in str(options.get("extra_inputs", "")).split(",")}
    read = [name for name in LIMITS if name in extra]
    if not read:
        return {None: [own]}
    metadata = find_beside(
        path, str(options.get("dataset_metadata_path") or ""), "dataset_metadata_path"
    )
    _, rows = read_table(metadata)
    found: dict[str | None, list[tuple[float, float]]] = defaultdict(list)
    for place, cells in rows:
        missing = [name for name in read if name not in cells]
        if missing:
            raise InputError(
                f"{metadata}: {place}: {missing[0]}: missing, and --extra_inputs asks"
                " for it; add it to every row"
            )
        pair = [
            get_number(cells, name, math.nan, metadata) if name in read else default
            for name, default in zip(LIMITS, own)
        ]
        found[str(cells["class"]) if cells.get("class") else None].append(
            (pair[0], pair[1])
        )
    return found


def expert_of(options: Options) -> str | None:
    """Return which network of Wan 2.2 A14B a launch trains, by the names of files."""
    models = models_of(options)
    for expert in ("high", "low"):
        if f"{expert}_noise" in models:
            return expert
    return None


def find_traps(options: Options, path: Path) -> list[str]:
    """Name what the options of a launch do not do."""
    traps = []
    expert = expert_of(options)
    if options.get(IGNORED):
        traps.append(
            f"{', '.join(options[IGNORED])}: ignored by task sft:train, whose cache has"
            " boundaries of its own; give them to the launch of sft:data_process"
        )
    if expert is not None and not set(LIMITS) & options.keys():
        extra = str(options.get("extra_inputs", ""))
        if not any(name in extra for name in LIMITS):
            traps.append(
                f"the {expert}-noise network is trained at all levels; set"
                " --min_timestep_boundary and --max_timestep_boundary (0.417 is sigma"
                " 0.875)"
            )
    names = [name for name in ("min_timestep", "max_timestep") if name in options]
    if names:
        traps.append(f"{', '.join(names)}: no option of {SCRIPT}; it will refuse it")
    if expert is not None and expert == "high":
        high = get_number(options, LIMITS[1], 1.0, path)
        if high > 0.9:
            traps.append(
                f"{LIMITS[1]} {high:g}: boundaries count from the noise end; the"
                " high-noise network wants 0 to 0.417"
            )
    return traps
