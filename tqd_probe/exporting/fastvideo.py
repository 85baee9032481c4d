"""FastVideo: levels per run, `train/models/wan/wan.py` (read 2026-08).

`_sample_timesteps` turns u into an index of a list that falls from noise, so that the
sign of ``training.model.logit_mean`` is reversed. The list has the model's own
``flow_shift``; that of the pipeline is not read there. Read alone: its runs cannot
carry bands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma
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
    mode,
    uniform,
)
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import fastvideo_length

SHIFTS = {
    "wan": 3.0,
    "hunyuan": 7.0,
    "cosmos": 1.0,
    "kandinsky5": 5.0,
    "longcat": 12.0,
}


@dataclass(frozen=True)
class FastVideo:
    """Reads the YAML configurations of FastVideo's trainer."""

    name: str = field(default="fastvideo", init=False)
    title: str = field(default="FastVideo", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix not in (".yaml", ".yml"):
            return False
        models = read_configuration(path).get("models")
        student = models.get("student") if isinstance(models, dict) else None
        return isinstance(student, dict) and "_target_" in student

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        table = read_configuration(path)
        student = get_table(get_table(table, "models", path), "student", path)
        model = get_table(get_table(table, "training", path), "model", path)
        default = family_shift(str(student.get("_target_", "")), path)
        shift = get_positive(student, "flow_shift", default, path)
        levels, rule = index_levels(model, shift, path)
        traps = []
        mean = get_number(model, "logit_mean", 0.0, path)
        if mean and model.get("weighting_scheme") == "logit_normal":
            middle = float(shift_sigma(1 / (1 + np.exp(mean)), shift))
            traps.append(
                f"logit_mean {mean:g}: its sign is reversed: the median level is"
                f" {middle:.2f}; write {-mean:g} for the other side"
            )
        elif mean:
            traps.append("logit_mean: ignored without weighting_scheme: logit_normal")
        pipeline = get_table(table, "pipeline", path)
        other = get_number(pipeline, "flow_shift", shift, path)
        if other != shift:
            traps.append(
                f"pipeline.flow_shift {other:g}: not that of the training levels,"
                f" which is {shift:g}; set models.student.flow_shift"
            )
        target = get_table(table, "method", path).get("_target_", "FineTuneMethod")
        method = str(target)
        if not method.endswith("FineTuneMethod"):
            traps.append(
                f"method {method.rpartition('.')[2]}: draws its own levels; these are"
                " those of FineTuneMethod"
            )
        trained = [TrainedLevels(EVERY, levels, rule, None, 1.0)]
        length = fastvideo_length(get_table(table, "training", path), path)
        return TimestepPreview(self.title, path, trained, traps, [], [length.text()])


def family_shift(target: str, path: Path) -> float:
    """Return the default shift of a family, by its class.

    Raises:
        InputError: If it draws levels in a way of its own.
    """
    for family, shift in SHIFTS.items():
        if f".{family}" in target:
            return shift
    raise InputError(
        f"{path}: models.student._target_: {target}: levels are known of"
        f" {', '.join(SHIFTS)}"
    )


def index_levels(
    model: Options, shift: float, path: Path
) -> tuple[LevelDistribution, str]:
    """Return the levels of a run, and the rule in words.

    Args:
        model: The table ``training.model``.
        shift: Timestep shift of the list of levels.
        path: The file, for messages.

    Returns:
        The distribution of sigma, and the rule.
    """
    scheme = model.get("weighting_scheme") or "uniform"
    if scheme == "logit_normal":
        mean = get_number(model, "logit_mean", 0.0, path)
        std = get_positive(model, "logit_std", 1.0, path)
        drawn, words = logit_normal(mean, std), f"logit-normal({mean:g}, {std:g})"
    elif scheme == "mode":
        scale = get_number(model, "mode_scale", 1.29, path)
        drawn, words = mode(scale), f"mode({scale:g})"
    else:
        drawn, words = uniform(), "uniform"
    falling = shift_sigma(np.arange(1000, 0, -1) / 1000, shift)
    return drawn.picked(np.asarray(falling)), f"{words} of the index, shift {shift:g}"
