"""DiffSynth-Studio: levels per row, `diffusion/loss.py` (read 2026-08).

`FlowMatchSFTLoss` picks an index of a grid of 1000 levels that falls from noise
(`diffusion/flow_match.py`, `set_timesteps_wan` and its siblings), between
``min_timestep_boundary`` and ``max_timestep_boundary``, shares of the grid. Both are
options of a launch and, named by ``--extra_inputs``, columns of the metadata.
"""

from __future__ import annotations

import math
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
    read_commands,
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
LIMITS = ("min_timestep_boundary", "max_timestep_boundary")
WAN_SHIFT = 5.0  # set_timesteps_wan in training, whatever the model's own shift is
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


def read_launches(path: Path) -> list[Options]:
    """Read the launches of a script that draw levels.

    Args:
        path: A shell script.

    Returns:
        Options of each.

    Raises:
        InputError: If it launches no training.
    """
    found = [
        each
        for each in read_commands(path, SCRIPT)
        if not str(each.get("task", "sft")).endswith(":data_process")
    ]
    if not found:
        raise InputError(f"{path}: launches no {SCRIPT}; give the launch script")
    return found


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
    models = str(options.get("model_id_with_origin_paths", options.get("model_paths")))
    lower = models.lower()
    if "ltx" in lower:
        shift = math.exp(linear_mu(LTX2_TOKENS, (1024, 0.95), (4096, 2.05)))
        level = shift_sigma(falling, shift)
        return 1 - (1 - level) * (1 - 0.1) / (1 - level[-1])  # ends at 0.1
    if any(name in lower for name in ("wan", "mova", "lingbot", "skyreels")):
        return shift_sigma(falling, WAN_SHIFT)
    raise InputError(
        f"{path}: model_id_with_origin_paths: {models[:60]!r}: levels are known of Wan"
        " and LTX-2; rename local folders so that the family is seen"
    )


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
    models = str(options.get("model_id_with_origin_paths", options.get("model_paths")))
    for expert in ("high", "low"):
        if f"{expert}_noise" in models:
            return expert
    return None


def find_traps(options: Options, path: Path) -> list[str]:
    """Name what the options of a launch do not do."""
    traps = []
    expert = expert_of(options)
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
