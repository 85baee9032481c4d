"""SimpleTuner: levels per data set, `helpers/models/common.py` (read 2026-08).

`sample_flow_sigmas` draws a logit-normal by default and adds the data set's
``timestep_sampling_offset`` (`documentation/DATALOADER.md`) to the normal variable;
then `apply_flow_schedule_shift`. Every other schedule ignores the offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_positive,
    number,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    beta,
    logit_normal,
    on_grid,
    uniform,
)
from tqd_probe.exporting.not_modelled import activity_texts, simpletuner_left_out
from tqd_probe.exporting.simpletuner_data_sets import draw_shares, read_backends
from tqd_probe.exporting.trainer_format import (
    TimestepPreview,
    TrainedLevels,
    VideoShape,
)
from tqd_probe.exporting.trainer_lengths import simpletuner_length

# Flavours of Wan that are one network of two; they set the shift themselves
# (`helpers/models/wan/model.py`, WAN_STAGE_OVERRIDES).
STAGE_SHIFTS = {
    **{
        f"{kind}-14b-2.2-{expert}": (expert, 5.0)
        for kind in ("i2v", "flf2v")
        for expert in ("high", "low")
    },
    **{f"animegen-t2v-{expert}": (expert, 3.0) for expert in ("high", "low")},
}
# Families with a `sample_flow_sigmas` of their own: no shift, no offset.
OWN_LEVELS = ("ace_step", "ideogram", "minimaxmusic", "omnigen", "sana", "sanavideo")
# Families that are not trained by flow matching (`models/*/model.py`, PREDICTION_TYPE).
NO_FLOW = (
    "cosmos",
    "deepfloyd",
    "heartmula",
    "kolors",
    "pixart",
    "pixart_sigma",
    "sd1x",
    "sd2x",
    "sdxl",
    "stable_cascade",
)
FAST = [1.0] * 7 + [0.75, 0.5, 0.25]  # flux_fast_schedule
OFFSET = "timestep_sampling_offset"
# What draws levels of its own, or leaves some of the model's out (`distillation/`,
# `scheduled_sampling/rollout.py`, `models/common.py`).
OTHER_DRAWS = ("distillation_method", "diffusion_blocks_config", "twinflow_enabled")
CLOSE = 0.02  # difference of a probability and a share that is accepted


@dataclass(frozen=True)
class SimpleTuner:
    """Reads config.json (or .toml) of SimpleTuner and its list of data sets."""

    name: str = field(default="simpletuner", init=False)
    title: str = field(default="SimpleTuner", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix not in (".json", ".toml"):
            return False
        try:
            options = undashed(read_configuration(path))
        except InputError:  # a list of data sets, say
            return False
        return bool({"data_backend_config", "model_family"} & options.keys())

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        options = undashed(read_configuration(path))
        shift, expert = timestep_shift(options, path)
        backends = read_backends(options, path)
        length = simpletuner_length(options, backends, path)
        shares = draw_shares(options, backends, length, path)
        trained = []
        for backend, share in zip(backends, shares):
            levels, rule = backend_levels(options, backend, shift, path)
            name = str(backend.get("id", "data set"))
            trained.append(TrainedLevels(name, levels, rule, expert, share))
        notes = []
        if None in shares:
            notes.append(
                "shares of the data sets follow their sizes, which are not known here:"
                " an epoch draws each clip 1 + repeats times"
            )
        if expert is not None:
            notes.append(
                f"model_flavour {options['model_flavour']} trains one network of two"
                " at all levels; the transformer it loads should be checked: diffusers"
                " keeps the high-noise one in transformer, the low one in transformer_2"
            )
        elif length.epoch_draws is None and len(backends) > 1:
            notes.append(
                "shares are the probabilities, until a data set is used up: an epoch"
                " draws each clip 1 + repeats times, and clips are not found here"
            )
        notes += [
            f"{name}: its levels are not modelled; those shown are the model's"
            for name in OTHER_DRAWS
            if options.get(name) not in (None, "", "None", False)
        ]
        late, unknown = activity_texts(backends, length.epochs, length.steps, path)
        if len(backends) > 1:
            unknown += simpletuner_left_out(backends, path)
        traps = find_traps(options, backends, expert) + late
        traps += misleading_probability(options, backends, shares, path)
        said = [length.text()]
        return TimestepPreview(self.title, path, trained, traps, notes, said, unknown)


def undashed(table: Options) -> Options:
    """Return settings by name without dashes."""
    return {name.lstrip("-").replace("-", "_"): value for name, value in table.items()}


def timestep_shift(options: Options, path: Path) -> tuple[float, str | None]:
    """Return the shift, and which network of two is trained.

    Raises:
        InputError: If the shift or the levels depend on the model's scheduler.
    """
    family = options.get("model_family")
    if family in OWN_LEVELS:
        raise InputError(
            f"{path}: model_family: {family} draws levels of its own, without shift and"
            " offset; they are not known here"
        )
    if family in NO_FLOW:
        raise InputError(
            f"{path}: model_family: {family} is not trained by flow matching; its"
            " levels are not known here"
        )
    if options.get("flow_schedule_auto_shift"):
        # `default_settings/safety_check.py` then sets flow_schedule_shift to 0.
        raise InputError(
            f"{path}: flow_schedule_auto_shift: overrides flow_schedule_shift, and its"
            " shift depends on the checkpoint's scheduler, which is not read; leave it"
            " out"
        )
    flavour = str(options.get("model_flavour", ""))
    if family == "wan" and flavour in STAGE_SHIFTS:
        expert, shift = STAGE_SHIFTS[flavour]
        return shift, expert
    shift = get_number(options, "flow_schedule_shift", 3.0, path)
    if shift == 3.0 and family == "minimaxh3":  # `_apply_h3_schedule_defaults`
        return 12.0, None
    return (shift, None) if shift > 0 else (1.0, None)


def schedule_of(options: Options) -> str:
    """Return which schedule the settings choose, in the trainer's order."""
    if options.get("mixflow_enabled"):
        return "mixflow"
    if options.get("flow_custom_timesteps") not in (None, "", "None"):
        return "custom"
    if options.get("flow_cubic_schedule_weights") not in (None, "", "None"):
        return "cubic"
    if options.get("flow_use_uniform_schedule"):
        return "fast" if options.get("flux_fast_schedule") else "uniform"
    if options.get("flow_use_beta_schedule"):
        return "beta"
    return "fast" if options.get("flux_fast_schedule") else "sigmoid"


def backend_levels(
    options: Options, backend: Options, shift: float, path: Path
) -> tuple[LevelDistribution, str]:
    """Return the levels that a data set is trained at.

    Args:
        options: Settings of the run.
        backend: Settings of the data set.
        shift: Timestep shift.
        path: The file of the run's settings, for messages.

    Returns:
        The distribution of sigma, and the rule in words.

    Raises:
        InputError: If a value is out of range.
    """
    kind = schedule_of(options)
    tail = f", shift {shift:g}" if shift != 1 else ""
    if kind == "custom":
        return custom_levels(options["flow_custom_timesteps"], path)
    if kind == "fast":
        return on_grid(np.array(FAST)), "flux_fast_schedule"
    if kind == "sigmoid":
        scale = get_positive(options, "flow_sigmoid_scale", 1.0, path)
        offset = get_number(backend, OFFSET, 0.0, path)
        words = f"logit-normal({scale * offset:.3g}, {scale:g}){tail}"
        return logit_normal(scale * offset, scale).shifted(shift), words
    if kind == "beta":
        a = get_positive(options, "flow_beta_schedule_alpha", 2.0, path)
        b = get_positive(options, "flow_beta_schedule_beta", 2.0, path)
        return beta(a, b).shifted(shift), f"Beta({a:g}, {b:g}){tail}"
    if kind == "mixflow":
        return beta(1.0, 2.0).shifted(shift), f"MixFlow, Beta(1, 2){tail}"
    if kind == "cubic":
        name = "flow_cubic_schedule_weights"
        weights = numbers(options[name], name, path)
        if min(weights) < 0 or not 0 < sum(weights) < 1e300:
            raise InputError(
                f"{path}: {name}: {weights}: none may be below 0, nor all 0; correct it"
            )
        return cubic_levels(weights).shifted(shift), f"cubic {weights}{tail}"
    return uniform().shifted(shift), f"uniform{tail}"


def numbers(value: Any, name: str, path: Path) -> list[float]:
    """Return a list of numbers, from a list or a text with commas.

    Raises:
        InputError: If it is empty, or holds something else.
    """
    if isinstance(value, str):
        value = [number(part) for part in value.strip("[]").split(",")]
    found = value if isinstance(value, list) else [value]
    if not found:
        raise InputError(f"{path}: {name}: is empty; fill it in")
    return [get_number({name: each}, name, 0.0, path) for each in found]


def custom_levels(value: Any, path: Path) -> tuple[LevelDistribution, str]:
    """Return the levels of ``flow_custom_timesteps``: timesteps if any is above 1.

    Args:
        value: Its value.
        path: The file, for messages.

    Returns:
        The distribution of sigma, and the rule in words.

    Raises:
        InputError: If a level is below 0 or above 1000.
    """
    levels = np.array(numbers(value, "flow_custom_timesteps", path))
    if levels.min() < 0 or levels.max() > 1000:
        raise InputError(
            f"{path}: flow_custom_timesteps: {levels.min():g} to {levels.max():g};"
            " timesteps are 0 to 1000, or levels 0 to 1; correct it"
        )
    levels = levels / 1000 if levels.max() > 1 else levels
    return on_grid(np.clip(levels, 0, 1)), f"list of {len(levels)} levels, no shift"


def cubic_levels(weights: list[float]) -> LevelDistribution:
    """Return the density through equally spaced points, monotone cubic between them."""
    if len(weights) < 2:
        return uniform()
    knots = np.linspace(0, 1, len(weights))
    if len(weights) == 2:
        first, slope = weights[0], weights[1] - weights[0]
        total = first + slope / 2
        return LevelDistribution(lambda x: (first * x + slope * x**2 / 2) / total)
    reached = PchipInterpolator(knots, weights).antiderivative()
    total = float(reached(1.0))
    return LevelDistribution(lambda x: np.asarray(reached(x)) / total)


def misleading_probability(
    options: Options, backends: list[Options], shares: list[float | None], path: Path
) -> list[str]:
    """Name probabilities that are not the shares of an epoch.

    Args:
        options: Settings of the run.
        backends: Settings of the data sets.
        shares: Their shares of an epoch.
        path: The file of the run's settings, for messages.

    Returns:
        One sentence, or none.
    """
    chances = [get_number(each, "probability", 1.0, path) for each in backends]
    wanted = [chance / (sum(chances) or 1) for chance in chances]
    if options.get("data_backend_sampling", "auto-weighting") != "uniform":
        alike = len(set(chances) - {0.0}) < 2
    else:
        alike = all(
            share is None or abs(share - each) < CLOSE
            for share, each in zip(shares, wanted)
        )
    if alike:
        return []
    return [
        "probability: decides the order inside an epoch alone, which draws each clip 1"
        " + repeats times whatever it is; weigh data sets by repeats"
    ]


def find_traps(
    options: Options, backends: list[Options], expert: str | None
) -> list[str]:
    """Name what the settings do not do."""
    kind, traps = schedule_of(options), []
    offset = [str(each.get("id")) for each in backends if each.get(OFFSET)]
    if offset and kind != "sigmoid":
        traps.append(
            f"{OFFSET} of {', '.join(offset)}: ignored by the {kind} schedule; it acts"
            " on the default (sigmoid) one alone"
        )
    if OFFSET in options:
        traps.append(f"{OFFSET}: ignored in the run's settings; give it to a data set")
    if "flow_sigmoid_scale" in options and kind != "sigmoid":
        traps.append(f"flow_sigmoid_scale: ignored by the {kind} schedule")
    if kind in ("custom", "fast") and options.get("flow_schedule_shift"):
        traps.append(f"flow_schedule_shift: ignored by the {kind} schedule")
    if expert is not None and "flow_schedule_shift" in options:
        traps.append(
            "flow_schedule_shift: overwritten by model_flavour"
            f" {options['model_flavour']}"
        )
    elif (
        expert is None
        and "flow_schedule_shift" not in options
        and kind not in ("custom", "fast")
    ):
        traps.append(
            "flow_schedule_shift: not set, and its default is 3, not 1; set it to what"
            " you mean"
        )
    return traps
