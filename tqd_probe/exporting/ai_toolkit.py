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
from scipy.special import betainc

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_table,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import (
    Cdf,
    LevelDistribution,
    logit_normal,
    on_grid,
    weighted,
)
from tqd_probe.exporting.run_length import RunLength, by_data_set, weigh_runs
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import ai_toolkit_length

STEPS = 1000
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
SHIFTS = {"wan21": 3.0, "wan22_14b": 3.0, "wan22_14b_i2v": 3.0}  # their schedulers
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
                levels, rule = index_levels(train, model, ends, path)
                whole = TrainedLevels(name, levels, rule, expert, share)
                rows += by_data_set(whole, length)
            trained.append(rows)
            lengths.append(length)
            traps += find_traps(train, model, path)
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
        InputError: If ``noise_scheduler`` is another.
    """
    found = train.get("noise_scheduler", "ddpm")
    if found != "flowmatch":
        raise InputError(
            f"{path}: train.noise_scheduler: {found!r}; levels are known of flowmatch"
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


def networks(
    train: Options, model: Options, path: Path
) -> list[tuple[str | None, tuple[int, int], float]]:
    """Return the networks that are trained, with their indices and share of steps."""
    if model.get("arch") not in TWO_NETWORKS:
        return [(None, index_range(train, path), 1.0)]
    wanted = get_table(model, "model_kwargs", path)
    kept = [name for name in STAGES if wanted.get(f"train_{name}_noise", True)]
    return [(name, STAGES[name], 1 / len(kept)) for name in kept]


def timestep_type(train: Options) -> str:
    """Return which list of levels is used."""
    if train.get("linear_timesteps") or train.get("linear_timesteps2"):
        return "linear"
    return str(train.get("timestep_type", "sigmoid"))


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
    if kind == "shift":
        return weighted(shift_grid(model, path), chances), words
    if kind == "sigmoid":
        return sorted_draws(chances), words
    if kind == "lognorm_blend":
        return blended(chances), f"{words} (200 lists drawn)"
    raise InputError(
        f"{path}: train.timestep_type: {kind!r}: its levels are not known; use linear"
    )


def index_chances(train: Options, first: int, end: int) -> np.ndarray:
    """Return the probability of each index ``[1000]``."""
    chances = np.zeros(STEPS)
    style = train.get("content_or_style", "balanced")
    if style in ("content", "style"):
        cubes = ((np.arange(100_000) + 0.5) / 100_000) ** 3 * STEPS
        raw = cubes if style == "content" else STEPS - cubes
        index = raw * (end - first) / (STEPS - 1) + first
        np.add.at(chances, np.clip(index.astype(int), first, end), 1e-5)
    elif first == end:
        chances[first] = 1.0
    else:
        chances[first:end] = 1 / (end - first)
    return chances


def shift_grid(model: Options, path: Path) -> np.ndarray:
    """Return the list of ``shift``: that of diffusers, shifted a second time.

    Raises:
        InputError: If the model's scheduler is not known.
    """
    arch = str(model.get("arch"))
    if arch not in SHIFTS:
        raise InputError(
            f"{path}: train.timestep_type: shift: that of {arch} is not known here; use"
            " linear"
        )
    lowest = float(shift_sigma(np.array(1 / STEPS), SHIFTS[arch]))
    return np.asarray(shift_sigma(np.linspace(1.0, lowest, STEPS), SHIFTS[arch]))


def sorted_draws(chances: np.ndarray) -> LevelDistribution:
    """Return the levels of a list of sigmoids of normal draws, sorted, falling.

    The level of rank r from below exceeds x when fewer than r of 1000 draws lie below
    it, so that runs of ranks sum to expectations of a binomial variable.

    Args:
        chances: Probability of each index ``[1000]``.
    """
    base = logit_normal().cdf
    ranks = chances[::-1]  # by rank from below, from 1 on
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], ranks, [0.0]])))
    steps = np.diff(np.concatenate([[0.0], ranks, [0.0]]))[edges]

    def continuous(level: np.ndarray) -> np.ndarray:
        p = base(level)
        return sum(
            (step * excess(p, int(edge)) for edge, step in zip(edges, steps)),
            start=np.zeros_like(p),
        )

    return LevelDistribution(table_of(continuous))


def excess(p: np.ndarray, least: int) -> np.ndarray:
    """Return the expectation of ``max(B - least, 0)``, B binomial of 1000 draws."""

    def at_least(draws: int, count: int) -> np.ndarray:
        if count <= 0:
            return np.ones_like(p)
        return betainc(count, draws - count + 1, p) if count <= draws else 0 * p

    return STEPS * p * at_least(STEPS - 1, least) - least * at_least(STEPS, least + 1)


def table_of(function: Cdf) -> Cdf:
    """Return a distribution function by a table of 1,001 levels."""
    places = np.linspace(0, 1, 1001)
    values = np.clip(function(places), 0, 1)
    return lambda level: np.interp(level, places, values)


def blended(chances: np.ndarray) -> LevelDistribution:
    """Return the levels of ``lognorm_blend``, from lists drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    linear = np.linspace(1000, 1, STEPS // 4)
    lists = []
    for _ in range(200):
        drawn = rng.lognormal(0.0, 0.333, STEPS * 3 // 4)
        both = np.concatenate([(1 - drawn / drawn.max()) * 1000, linear])
        lists.append(np.sort(both)[::-1].astype(int) / 1000)
    return weighted(np.concatenate(lists), np.tile(chances / 200, 200))


def find_traps(train: Options, model: Options, path: Path) -> list[str]:
    """Name what the settings do not do."""
    traps = []
    given = [name for name in LIMITS if name in train]
    kind = timestep_type(train)
    if model.get("arch") in TWO_NETWORKS:
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


def find_notes(train: Options, model: Options) -> list[str]:
    """Name what else weighs on the levels."""
    notes = []
    if timestep_type(train) == "weighted" or train.get("linear_timesteps"):
        notes.append("the loss is weighted by noise level")
    if model.get("arch") in TWO_NETWORKS:
        notes.append(
            "steps alternate between the networks (switch_boundary_every), whatever"
            " share of the levels each has"
        )
    return notes
