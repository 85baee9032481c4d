"""diffusion-pipe: levels per run, ``[model]`` alone (read 2026-08).

`models/wan/wan.py` picks from 10,000 quantiles of the density, shifts them, and keeps
those from ``min_t`` to ``max_t`` (`utils/common.py`, `get_t_distribution`,
`slice_t_distribution`). Other families draw afresh and read neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import expit, ndtri

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
    on_grid,
    uniform,
)
from tqd_probe.exporting.not_modelled import diffusion_pipe_left_out
from tqd_probe.exporting.resolution_shift import image_tokens, linear_mu, shift_of
from tqd_probe.exporting.run_length import by_data_set, read_data_sets
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import diffusion_pipe_length

QUANTILES = 10_000
# Families of video, and which of shift and flux_shift they read.
SHIFTED: dict[str, tuple[str, ...]] = {
    "wan": ("shift", "flux_shift"),
    "hunyuan-video": ("shift",),
    "hunyuan_video_15": ("shift", "flux_shift"),
    "ltx-video": (),
    "ltx2": ("shift", "flux_shift"),
    "cosmos_predict2": ("shift", "flux_shift"),
    "minimax_h3": ("shift", "flux_shift"),
}
SET_IN_MODEL = (
    "min_t",
    "max_t",
    "shift",
    "flux_shift",
    "sigmoid_scale",
    "timestep_sample_method",
)


@dataclass(frozen=True)
class DiffusionPipe:
    """Reads the TOML configurations of diffusion-pipe."""

    name: str = field(default="diffusion-pipe", init=False)
    title: str = field(default="diffusion-pipe", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix != ".toml":
            return False
        model = read_configuration(path).get("model")
        return isinstance(model, dict) and "type" in model

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        table = read_configuration(path)
        model = get_table(table, "model", path)
        levels, rule = model_levels(model, path, shape)
        expert = expert_of(model)
        length = diffusion_pipe_length(table, path)
        whole = TrainedLevels(EVERY, levels, rule, expert, 1.0)
        return TimestepPreview(
            self.title,
            path,
            by_data_set(whole, length),
            misplaced(table) + find_traps(model),
            find_notes(model),
            [length.text()],
            left_out(table, path),
        )


def left_out(table: Options, path: Path) -> list[str]:
    """Name the clips that are left out, where they weigh several data sets."""
    data, entries = read_data_sets(path, table.get("dataset"), "directory")
    return diffusion_pipe_left_out(data, entries) if len(entries) > 1 else []


def family_of(model: Options, path: Path) -> str:
    """Return ``[model] type``.

    Raises:
        InputError: If it is no family of video that draws levels of flow matching.
    """
    family = model.get("type")
    if not isinstance(family, str) or family not in SHIFTED:
        raise InputError(
            f"{path}: model.type: {family!r}; levels are known of the video families"
            f" {', '.join(SHIFTED)}"
        )
    return family


def model_levels(
    model: Options, path: Path, shape: VideoShape | None
) -> tuple[LevelDistribution, str]:
    """Return the levels that a run draws.

    Args:
        model: The table ``[model]``.
        path: The file, for messages.
        shape: Size of the clips.

    Returns:
        The distribution of sigma, and the rule in words.

    Raises:
        InputError: If the trainer would refuse a value.
    """
    family = family_of(model, path)
    method = model.get("timestep_sample_method", "logit_normal")
    scale = get_positive(model, "sigmoid_scale", 1.0, path)
    if method not in ("logit_normal", "uniform"):
        raise InputError(
            f"{path}: model.timestep_sample_method: {method!r}; use logit_normal or"
            " uniform"
        )
    words = "uniform" if method == "uniform" else f"logit-normal(0, {scale:g})"
    shift = timestep_shift(model, family, path, shape)
    words += f", shift {shift:.3g}" if shift != 1 else ""
    if family != "wan":
        drawn = uniform() if method == "uniform" else logit_normal(0.0, scale)
        return drawn.shifted(shift), words
    quantiles = np.linspace(1 / QUANTILES, 1 - 1 / QUANTILES, QUANTILES)
    u = quantiles if method == "uniform" else expit(scale * ndtri(quantiles))
    sigma = shift_sigma(u, shift)
    low = get_number(model, "min_t", 0.0, path)
    high = get_number(model, "max_t", 1.0, path)
    kept = sigma[(sigma >= low) & (sigma < high)]
    if not len(kept):
        raise InputError(
            f"{path}: model.min_t, model.max_t: no level lies from {low:g} to {high:g};"
            " they are sigma, 0 to 1"
        )
    cut = f", cut to {low:g}-{high:g}" if (low, high) != (0.0, 1.0) else ""
    return on_grid(kept), words + cut


def timestep_shift(
    model: Options, family: str, path: Path, shape: VideoShape | None
) -> float:
    """Return the timestep shift; 1 where the family reads none."""
    if "shift" in SHIFTED[family] and get_number(model, "shift", 0.0, path):
        return get_positive(model, "shift", 1.0, path)
    if "flux_shift" in SHIFTED[family] and model.get("flux_shift"):
        tokens = image_tokens(shape, f"{path}: model.flux_shift")
        if family == "ltx2" and shape is not None:  # its latents are 32 times smaller
            tokens = (shape.height // 64) * (shape.width // 64)
        return shift_of(linear_mu(tokens, (256, 0.5), (4096, 1.15)))
    return 1.0


def expert_of(model: Options) -> str | None:
    """Return which network of Wan 2.2 A14B a run trains, by the name of its file."""
    path = str(model.get("transformer_path", "")).lower()
    for expert in ("high", "low"):
        if model.get("type") == "wan" and f"{expert}_noise" in path:
            return expert
    return None


def misplaced(table: Options) -> list[str]:
    """Name keys of ``[model]`` in another block, where nothing reads them."""
    places = {"the top level": table} | {
        f"[{name}]": block
        for name, block in table.items()
        if isinstance(block, dict) and name != "model"
    }
    return [
        f"{key}: ignored in {place}; move it to [model]"
        for place, block in places.items()
        for key in SET_IN_MODEL
        if key in block
    ]


def find_traps(model: Options) -> list[str]:
    """Name what the keys of ``[model]`` do not do."""
    family = str(model.get("type"))
    traps = []
    for key in ("min_t", "max_t"):
        if key in model and family != "wan":
            traps.append(
                f"{key}: ignored by model type {family}: Wan alone reads it; levels"
                " cannot be limited for this family"
            )
    for key in ("shift", "flux_shift"):
        if model.get(key) and key not in SHIFTED.get(family, ()):
            traps.append(f"{key}: ignored by model type {family}; leave it out")
    if model.get("shift") and model.get("flux_shift"):
        traps.append("flux_shift: ignored beside shift; keep one of the two")
    if "sigmoid_scale" in model and model.get("timestep_sample_method") == "uniform":
        traps.append("sigmoid_scale: ignored by timestep_sample_method uniform")
    return traps


def find_notes(model: Options) -> list[str]:
    """Name what else weighs on the levels of a run."""
    if expert_of(model) and not {"min_t", "max_t"} & model.keys():
        return [
            f"the {expert_of(model)}-noise network is trained at all levels; in"
            " sampling it is used on one side of 0.875 (T2V) or 0.9 (I2V) alone: set"
            " min_t and max_t"
        ]
    return []
