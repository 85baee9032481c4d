"""LTX-2 trainer: levels per run, `timestep_samplers.py` (read 2026-08).

``uniform`` draws from ``min_value`` to ``max_value``. The default,
``shifted_logit_normal``, has a mean that grows with the tokens and is not clamped,
stretches the draw between two percentiles, and mixes a tenth of uniform draws in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_positive,
    get_table,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    logit_normal,
    mixture,
    uniform,
)
from tqd_probe.exporting.resolution_shift import linear_mu
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import ltx2_length

TOKEN_MEANS = ((1024, 0.95), (4096, 2.05))
SECTIONS = {"model", "data", "flow_matching", "training_strategy"}
MANY = 1.5  # times the tokens up to which the mean was meant to grow
UPPER, LOWER = 3.0902, -2.5758  # percentiles 99.9 and 0.5 of a normal variable
PARAMETERS = {
    "uniform": {"min_value": 0.0, "max_value": 1.0},
    "shifted_logit_normal": {"std": 1.0, "eps": 1e-3, "uniform_prob": 0.1},
}


@dataclass(frozen=True)
class Ltx2:
    """Reads the YAML configurations of the LTX-2 trainer."""

    name: str = field(default="ltx2", init=False)
    title: str = field(default="LTX-2 trainer", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix not in (".yaml", ".yml"):
            return False
        table = read_configuration(path)
        mode = table.get("flow_matching")
        data = table.get("data")
        return (isinstance(mode, dict) and "timestep_sampling_mode" in mode) or (
            isinstance(data, dict) and "preprocessed_data_root" in data
        )

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        table = read_configuration(path)
        if not table.keys() & SECTIONS:
            raise InputError(
                f"{path}: model, data: missing; give the LTX-2 trainer's file"
            )
        mode, values = sampling(table, path)
        traps: list[str] = []
        notes: list[str] = []
        if mode == "uniform":
            low, high = values["min_value"], values["max_value"]
            trained = [
                TrainedLevels(
                    EVERY, uniform(low, high), f"uniform {low:g}-{high:g}", share=1.0
                )
            ]
        else:
            tokens, said = token_count(table, shape, path)
            mean = linear_mu(tokens, *TOKEN_MEANS)
            levels = stretched(mean, values["std"], values["eps"])
            rest = uniform(values["eps"], 1.0)
            parts = [
                (1 - values["uniform_prob"], levels),
                (values["uniform_prob"], rest),
            ]
            rule = f"stretched logit-normal, mean {mean:.3g} of {tokens} tokens"
            trained = [
                TrainedLevels(
                    EVERY,
                    mixture([part for part in parts if part[0] > 0]),
                    rule,
                    share=1.0,
                )
            ]
            notes.append(said)
            if tokens > MANY * TOKEN_MEANS[1][0]:
                traps.append(
                    f"shifted_logit_normal: its mean grows with the tokens and is not"
                    f" clamped: {mean:.2f} at {tokens} (2.05 at 4096); for bands use"
                    " timestep_sampling_mode uniform"
                )
        if (why := no_video_levels(table)) is not None:
            traps.append(
                f"{why}; the levels above are those that video would have, not the"
                " audio's"
            )
        length = ltx2_length(table, path)
        return TimestepPreview(self.title, path, trained, traps, notes, [length.text()])


def sampling(table: Options, path: Path) -> tuple[str, dict[str, float]]:
    """Return the sampling mode, and its parameters with their defaults.

    Args:
        table: The configuration.
        path: Its file, for messages.

    Returns:
        Mode, and values by name.

    Raises:
        InputError: If the trainer would refuse a key or a value.
    """
    flow = get_table(table, "flow_matching", path)
    for key in flow:
        if key not in ("timestep_sampling_mode", "timestep_sampling_params"):
            raise InputError(
                f"{path}: flow_matching.{key}: unknown, the trainer refuses it; put it"
                " into timestep_sampling_params"
            )
    mode = flow.get("timestep_sampling_mode", "shifted_logit_normal")
    if not isinstance(mode, str) or mode not in PARAMETERS:
        raise InputError(
            f"{path}: flow_matching.timestep_sampling_mode: {mode!r}; choose from"
            f" {', '.join(PARAMETERS)}"
        )
    given = get_table(flow, "timestep_sampling_params", path)
    for key in given:
        if key not in PARAMETERS[mode]:
            raise InputError(
                f"{path}: flow_matching.timestep_sampling_params.{key}: the trainer"
                f" stops, mode {mode} has {', '.join(PARAMETERS[mode])}"
            )
    values = {
        key: get_number(given, key, default, path)
        for key, default in PARAMETERS[mode].items()
    }
    if mode == "uniform":
        sound = 0 <= values["min_value"] < values["max_value"] <= 1
    else:
        sound = values["std"] > 0 and 0 <= values["uniform_prob"] <= 1
        sound = sound and 0 < values["eps"] < 0.5
    if not sound:
        raise InputError(
            f"{path}: flow_matching.timestep_sampling_params: {values}: out of range"
        )
    return mode, values


def token_count(
    table: Options, shape: VideoShape | None, path: Path
) -> tuple[int, str]:
    """Return the video tokens of a clip, and where they are from, in words.

    Raises:
        InputError: If the size of the clips is known from nowhere.
    """
    said = "tokens of the size given"
    if shape is None:
        dims: Any = get_table(table, "validation", path).get("video_dims")
        if not (isinstance(dims, list) and len(dims) == 3):
            raise InputError(
                f"{path}: flow_matching: the levels depend on the size of the clips;"
                " say it with --frames, --height and --width"
            )
        sizes = {"width": dims[0], "height": dims[1], "frames": dims[2]}
        width, height, frames = (
            int(get_positive(sizes, name, 1.0, path)) for name in sizes
        )
        shape = VideoShape(frames, height, width)
        said = (
            f"tokens of validation.video_dims {dims}; if the clips have another size,"
            " give --frames, --height and --width"
        )
    latent_frames = (shape.frames - 1) // 8 + 1
    return latent_frames * (shape.height // 32) * (shape.width // 32), said


def stretched(mean: float, std: float, eps: float) -> LevelDistribution:
    """Return the stretched logit-normal: low draws mirrored at eps, high ones at 1.

    Args:
        mean: Mean of the normal variable.
        std: Its deviation.
        eps: The least level.

    Returns:
        The distribution, with a level of positive probability at 1.
    """
    low, high = expit(mean + LOWER * std), expit(mean + UPPER * std)
    drawn = logit_normal(mean, std).cdf

    def raw(level: np.ndarray) -> np.ndarray:
        return drawn(np.clip(low + (high - low) * np.asarray(level, float), 0, 1))

    def continuous(level: np.ndarray) -> np.ndarray:
        level = np.asarray(level, dtype=float)
        return np.where(level >= eps, raw(level) - raw(2 * eps - level), 0.0)

    at_one = 1 - float(continuous(np.array(1.0)))
    return LevelDistribution(continuous, np.array([1.0]), np.array([at_one]))


def no_video_levels(table: Options) -> str | None:
    """Return why no video is trained; None where it is.

    Of the strategy ``flexible`` each of video and audio is left out, given as a
    condition, or generated, and draws levels of its own (`training_strategies/
    flexible.py`; read 2026-08, 400fd31).
    """
    strategy = table.get("training_strategy")
    if not isinstance(strategy, dict):
        return None
    video = strategy.get("video")
    if strategy.get("name") == "flexible" and video is None:
        return "training_strategy.video: missing: audio alone is trained"
    if isinstance(video, dict) and video.get("is_generated") is False:
        return (
            "training_strategy.video.is_generated: false: the video is a condition and"
            " its sigma is 0"
        )
    return None
