"""NeMo Automodel: levels per run, `flow_matching/pipeline.py` (read 2026-08).

`sample_timesteps` draws u, shifts it, and clamps sigma. ``beta`` and
``use_sigma_noise: false`` are not shifted. A share ``mix_uniform_ratio`` of the batches
is uniform under every other method, by default a tenth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
    beta,
    logit_normal,
    mixture,
    mode,
    uniform,
)
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import nemo_length

MODE_SCALE = 1.29
STAGES = {"high_noise": "high", "low_noise": "low"}
METHODS = ("uniform", "logit_normal", "lognorm", "mix", "mode", "beta")


@dataclass(frozen=True)
class Nemo:
    """Reads the YAML recipes of NeMo Automodel's diffusion training."""

    name: str = field(default="nemo", init=False)
    title: str = field(default="NeMo Automodel", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix not in (".yaml", ".yml"):
            return False
        flow = read_configuration(path).get("flow_matching")
        return isinstance(flow, dict) and bool(
            {"timestep_sampling", "adapter_type"} & flow.keys()
        )

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        table = read_configuration(path)
        flow = get_table(table, "flow_matching", path)
        model = get_table(table, "model", path)
        drawn, rule = drawn_levels(flow, path)
        low, high = clamp_ends(flow, model, path)
        clamped = (low, high) != (0.0, 1.0)
        rule += f", clamped to {low:g}-{high:g}" if clamped else ""
        levels = drawn.clamped(low, high)
        expert = STAGES.get(str(model.get("stage", "")).lower())
        traps = find_traps(flow, path)
        ends = [(e, m) for e, m in levels.atoms() if e in (low, high) and m > 0.005]
        if clamped and ends:
            source = "model.stage" if expert else "sigma_min, sigma_max"
            said = " and ".join(f"{100 * m:.0f} % exactly at {e:g}" for e, m in ends)
            traps.insert(0, f"{source}: clamps instead of drawing again: {said}")
        trained = [TrainedLevels(EVERY, levels, rule, expert, 1.0)]
        length = nemo_length(table, path)
        return TimestepPreview(
            self.title, path, trained, traps, find_notes(flow, path), [length.text()]
        )


def method_of(flow: Options, path: Path) -> str:
    """Return ``timestep_sampling``.

    Raises:
        InputError: If it is unknown; the trainer would draw uniformly without a word.
    """
    found = flow.get("timestep_sampling", "logit_normal")
    if not isinstance(found, str) or found not in METHODS:
        raise InputError(
            f"{path}: flow_matching.timestep_sampling: {found!r}: unknown, and would"
            f" train uniformly without a word; choose from {', '.join(METHODS)}"
        )
    return found


def drawn_levels(flow: Options, path: Path) -> tuple[LevelDistribution, str]:
    """Return the levels before the clamp, and the rule in words.

    Args:
        flow: The table ``flow_matching``.
        path: The file, for messages.

    Returns:
        The distribution of sigma, and the rule.

    Raises:
        InputError: If the trainer would refuse a value.
    """
    method = method_of(flow, path)
    if flow.get("use_sigma_noise", True) is False:
        return uniform(), "uniform, no shift"
    if method == "beta":
        a = get_number(flow, "beta_alpha", 2.5, path)
        b = get_number(flow, "beta_beta", 1.5, path)
        if min(a, b) <= 0:
            raise InputError(
                f"{path}: flow_matching.beta_alpha, beta_beta: both must be above 0"
            )
        return beta(a, b), f"Beta({a:g}, {b:g})"
    shift = get_positive(flow, "flow_shift", 3.0, path)
    if method == "uniform":
        return uniform().shifted(shift), f"uniform, shift {shift:g}"
    if method == "mode":
        own, words = mode(MODE_SCALE), f"mode({MODE_SCALE:g})"
    elif method == "logit_normal":
        mean = get_number(flow, "logit_mean", 0.0, path)
        std = get_positive(flow, "logit_std", 1.0, path)
        own, words = logit_normal(mean, std), f"logit-normal({mean:g}, {std:g})"
    else:
        own, words = logit_normal(), "logit-normal(0, 1)"
    ratio = min(max(get_number(flow, "mix_uniform_ratio", 0.1, path), 0.0), 1.0)
    if ratio > 0:
        own = mixture([(1 - ratio, own), (ratio, uniform())])
        words += f" with {100 * ratio:g} % uniform"
    return own.shifted(shift), f"{words}, shift {shift:g}"


def clamp_ends(flow: Options, model: Options, path: Path) -> tuple[float, float]:
    """Return the levels at which sigma is clamped.

    Args:
        flow: The table ``flow_matching``.
        model: The table ``model``; its stage overrides the ends.
        path: The file, for messages.

    Returns:
        Lowest and highest level.

    Raises:
        InputError: If they are out of order, or the trainer would refuse the stage.
    """
    stage = model.get("stage")
    if stage is not None:
        if str(stage).lower() not in STAGES:
            raise InputError(
                f"{path}: model.stage: {stage!r}; use {' or '.join(STAGES)}"
            )
        boundary = get_number(model, "boundary_ratio", 0.875, path)
        if not 0 < boundary < 1:
            raise InputError(
                f"{path}: model.boundary_ratio: {boundary:g}; needs (0, 1)"
            )
        high = STAGES[str(stage).lower()] == "high"
        return (boundary, 1.0) if high else (0.0, boundary)
    low = get_number(flow, "sigma_min", 0.0, path)
    high_end = get_number(flow, "sigma_max", 1.0, path)
    if not 0 <= low < high_end <= 1:
        raise InputError(
            f"{path}: flow_matching.sigma_min, sigma_max: {low:g} and {high_end:g};"
            " needs 0 <= min < max <= 1"
        )
    return low, high_end


def find_traps(flow: Options, path: Path) -> list[str]:
    """Name what the settings do not do."""
    method, traps = method_of(flow, path), []
    if flow.get("use_sigma_noise", True) is False:
        names = ("flow_shift", "logit_mean", "logit_std")
        unread: list[str] = [name for name in names if name in flow]
        if method != "uniform":
            unread.insert(0, f"timestep_sampling {method}")
        if unread:
            traps.append(f"{', '.join(unread)}: ignored by use_sigma_noise: false")
        return traps
    ratio = get_number(flow, "mix_uniform_ratio", 0.1, path)
    if method in ("logit_normal", "lognorm", "mode") and ratio > 0:
        traps.append(
            f"mix_uniform_ratio {ratio:g}: acts on {method} too, not on mix alone; set"
            " it to 0"
        )
    if method == "beta" and "flow_shift" in flow:
        traps.append("flow_shift: does not shift a Beta; it weights the loss alone")
    return traps


def find_notes(flow: Options, path: Path) -> list[str]:
    """Name what else weighs on the levels."""
    if not flow.get("use_loss_weighting", True):
        return []
    if flow.get("loss_weighting_scheme", "linear") == "bsmntw":
        return ["the loss is weighted by a bell around sigma 0.5"]
    shift = get_number(flow, "flow_shift", 3.0, path)
    return [f"the loss is weighted by 1 + {shift:g} sigma (use_loss_weighting)"]
