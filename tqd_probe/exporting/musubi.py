"""musubi-tuner: levels per run, in `training/trainer_base.py` (read 2026-06).

`get_noisy_model_input_and_timesteps` draws in one of two ways. In its default mode,
``sigma``, it picks an index of a grid that falls from 1000 to 1 (`hv_train_network.py`,
`FlowMatchDiscreteScheduler`), so that ``--min_timestep`` and ``--max_timestep`` count
from the noise end, and a flow shift has no effect. In the other modes t is sigma.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    SCRIPTS,
    Options,
    get_number,
    get_positive,
    read_commands,
    read_configuration,
    split_commands,
)
from tqd_probe.exporting.level_distribution import (
    LevelDistribution,
    logit_normal,
    mixture,
    mode,
    uniform,
)
from tqd_probe.exporting.not_modelled import musubi_left_out
from tqd_probe.exporting.resolution_shift import image_tokens, linear_mu, shift_of
from tqd_probe.exporting.run_length import (
    RunLength,
    by_data_set,
    read_data_sets,
    weigh_runs,
)
from tqd_probe.exporting.trainer_format import (
    EVERY,
    TimestepPreview,
    TrainedLevels,
    VideoShape,
    split_experts,
)
from tqd_probe.exporting.trainer_lengths import musubi_length

SCRIPT = "train_network.py"
STEPS = 1000
BOUNDARIES = {"t2v-A14B": 0.875, "i2v-A14B": 0.900}  # src/musubi_tuner/wan/configs
# mu of two numbers of tokens, and the latent pixels of a token
TOKEN_SHIFTS = {
    "flux_shift": ((256, 0.5), (4096, 1.15), 2),
    "flux2_shift": ((256, 0.5), (4096, 1.15), 1),
    "qwen_shift": ((256, 0.5), (8192, 0.9), 2),
    "krea2_shift": ((256, 0.5), (6400, 1.15), 2),
    "qinglong_flux": ((256, 0.5), (4096, 1.15), 2),
    "qinglong_qwen": ((256, 0.5), (8192, 0.9), 2),
}
OWN_MODES = {"ideogram4": "ideogram4_shift"}  # defaults of a script (set_defaults)
MODES = ("sigma", "uniform", "sigmoid", "shift", "logsnr", *TOKEN_SHIFTS)


@dataclass(frozen=True)
class MusubiRun:
    """The options of a run that decide its levels.

    Attributes:
        options: All options by name.
        path: The file they are from.
    """

    options: Options
    path: Path

    def number(self, name: str, default: float) -> float:
        """Return an option that must be a number."""
        return get_number(self.options, name, default, self.path)

    def positive(self, name: str, default: float) -> float:
        """Return an option that must be a number above 0."""
        return get_positive(self.options, name, default, self.path)

    @property
    def mode(self) -> str:
        """``--timestep_sampling``.

        Raises:
            InputError: If no video is trained so.
        """
        found = str(self.options.get("timestep_sampling", "sigma"))
        if found not in MODES:
            raise InputError(
                f"{self.path}: timestep_sampling: {found!r} is no mode for video;"
                f" choose from {', '.join(MODES)}"
            )
        return found

    @property
    def ends(self) -> tuple[float, float]:
        """``--min_timestep`` and ``--max_timestep`` over 1000.

        Raises:
            InputError: If they are out of range or order.
        """
        low = self.number("min_timestep", 0) / STEPS
        high = self.number("max_timestep", STEPS) / STEPS
        if not 0 <= low < high <= 1:
            raise InputError(
                f"{self.path}: min_timestep, max_timestep: {STEPS * low:g} and"
                f" {STEPS * high:g}; needs 0 <= min < max <= {STEPS}"
            )
        return low, high

    @property
    def kept_shape(self) -> bool:
        """Whether ``--preserve_distribution_shape`` is given."""
        return bool(self.options.get("preserve_distribution_shape", False))

    @property
    def boundary(self) -> float | None:
        """Where two networks that are trained in one run meet, in sigma."""
        if not self.options.get("dit_high_noise"):
            return None
        task = str(self.options.get("task", "t2v-14B"))
        found = self.number("timestep_boundary", BOUNDARIES.get(task, 0.0))
        if not found:
            raise InputError(
                f"{self.path}: timestep_boundary: missing; two networks are trained"
            )
        found = found / STEPS if found > 1 else found
        # Compared is the timestep, which is 1000 sigma + 1 in all modes but one.
        return found if self.mode == "sigma" else found - 1 / STEPS


@dataclass(frozen=True)
class Musubi:
    """Reads command lines and ``--config_file`` tables of musubi-tuner."""

    name: str = field(default="musubi", init=False)
    title: str = field(default="musubi-tuner", init=False)

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        if path.suffix in SCRIPTS:
            return any("dit" in each for each in read_commands(path, SCRIPT))
        if path.suffix != ".toml":
            return False
        options = flattened(read_configuration(path))
        return bool({"network_module", "dataset_config", "dit"} & options.keys())

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration; see `TrainerFormat`."""
        trained: list[list[TrainedLevels]] = []
        lengths: list[RunLength] = []
        traps: list[str] = []
        notes: list[str] = []
        unknown: list[str] = []
        runs = read_runs(path)
        for number, run in enumerate(runs, 1):
            source = run.options.get("dataset_config")
            entries = read_data_sets(path, source, "datasets")[1]
            unknown += musubi_left_out(entries) if len(entries) > 1 else []
            name = EVERY if len(runs) == 1 else f"launch {number}"
            levels, rule = run_levels(run, shape)
            whole = TrainedLevels(name, levels, rule, share=1.0)
            length = musubi_length(run.options, "" if len(runs) == 1 else name, path)
            rows = by_data_set(whole, length)
            if (boundary := run.boundary) is not None:
                rows = [part for row in rows for part in split_experts(row, boundary)]
            trained.append(rows)
            lengths.append(length)
            traps += find_traps(run)
            notes += find_notes(run)
        return TimestepPreview(
            self.title,
            path,
            weigh_runs(trained, lengths),
            list(dict.fromkeys(traps)),
            notes,
            [each.text() for each in lengths],
            list(dict.fromkeys(unknown)),
        )


def flattened(table: Options) -> Options:
    """Return a table with its sections dissolved, as ``--config_file`` reads it."""
    found: Options = {}
    for name, value in table.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def read_runs(path: Path) -> list[MusubiRun]:
    """Read the runs of a configuration.

    Args:
        path: A script with command lines of ``*_train_network.py``, or the TOML table
            of ``--config_file``.

    Returns:
        At least one run.

    Raises:
        InputError: If the file is at fault.
    """
    if path.suffix in SCRIPTS:
        found = read_commands(path, SCRIPT)
        if not found:
            raise InputError(f"{path}: launches no *_{SCRIPT}; give the command line")
        for each in found:
            if "config_file" in each:
                raise InputError(
                    f"{path}: --config_file {each['config_file']}: give that file"
                    " instead, with all settings in it"
                )
        launched = [w for w in split_commands(path) if SCRIPT in " ".join(w)]
        return [
            MusubiRun(own_defaults(" ".join(words)) | each, path)
            for words, each in zip(launched, found)
        ]
    options = flattened(read_configuration(path))
    if "datasets" in options:
        raise InputError(
            f"{path}: describes data sets, and musubi-tuner reads no timesteps there;"
            " give the command line or the table of --config_file"
        )
    return [MusubiRun(own_defaults(str(options.get("network_module"))) | options, path)]


def own_defaults(text: str) -> Options:
    """Return the defaults that the trainer's script sets for its own model.

    Read 2026-06, 30c658c: `ideogram4_train_network.py`, `ideogram4_setup_parser`.

    Args:
        text: The command, or the network module, either of which names the model.
    """
    found = next((mode for name, mode in OWN_MODES.items() if name in text), None)
    return {"timestep_sampling": found} if found else {}


def run_levels(
    run: MusubiRun, shape: VideoShape | None
) -> tuple[LevelDistribution, str]:
    """Return the levels that a run draws, for both networks together.

    Args:
        run: The run.
        shape: Size of the clips.

    Returns:
        The distribution of sigma, and the rule in words.
    """
    low, high = run.ends
    if run.mode == "sigma":
        drawn, words = weighting_density(run)
        # The index counts from the noise end.
        grid = 1 - np.arange(STEPS) / STEPS
        levels = drawn.rescaled(low, high).picked(grid)
        return levels, f"sigma mode, {words}, index {STEPS * low:g}-{STEPS * high:g}"
    drawn, words = mode_density(run, shape)
    if (low, high) == (0.0, 1.0):
        return drawn, words
    if run.kept_shape:
        return drawn.restricted([(low, high)]), f"{words}, cut to {low:g}-{high:g}"
    return drawn.rescaled(low, high), f"{words}, squeezed into {low:g}-{high:g}"


def weighting_density(run: MusubiRun) -> tuple[LevelDistribution, str]:
    """Return the density of the index, from the noise end, in mode ``sigma``."""
    scheme = run.options.get("weighting_scheme", "none")
    if scheme == "logit_normal":
        mean, std = run.number("logit_mean", 0.0), run.positive("logit_std", 1.0)
        return logit_normal(mean, std), f"logit-normal({mean:g}, {std:g}) of the index"
    if scheme == "mode":
        scale = run.number("mode_scale", 1.29)
        return mode(scale), f"mode({scale:g}) of the index"
    return uniform(), "uniform"


def mode_density(
    run: MusubiRun, shape: VideoShape | None
) -> tuple[LevelDistribution, str]:
    """Return the density of sigma before ``--min_timestep`` and ``--max_timestep``."""
    name, scale = run.mode, run.positive("sigmoid_scale", 1.0)
    if name == "uniform":
        return uniform(), "uniform"
    if name == "sigmoid":
        return logit_normal(0.0, scale), f"logit-normal(0, {scale:g})"
    if name == "logsnr":
        mean, std = run.number("logit_mean", 0.0), run.positive("logit_std", 1.0)
        return log_snr_density(mean, std), f"log-SNR normal({mean:g}, {std:g})"
    if name == "shift":
        shift = run.positive("discrete_flow_shift", 1.0)
    else:
        first, second, patch = TOKEN_SHIFTS[name]
        where = f"{run.path}: timestep_sampling {name}"
        tokens = image_tokens(shape, where, patch)
        shift = shift_of(linear_mu(tokens, first, second))
    shifted = logit_normal(0.0, scale).shifted(shift)
    words = f"logit-normal(0, {scale:g}), shift {shift:.3g}"
    if not name.startswith("qinglong"):
        return shifted, words
    mean, std = run.number("logit_mean", 0.0), run.positive("logit_std", 1.0)
    parts = [(0.79, shifted), (0.11, log_snr_density(mean, std))]
    if name == "qinglong_qwen":
        parts = [(0.95, shifted)]
    rest = 1 - sum(weight for weight, _ in parts)
    return mixture([*parts, (rest, log_snr_density(5.36, 1.0))]), f"{name}: {words}"


def log_snr_density(mean: float, std: float) -> LevelDistribution:
    """Return the density of sigma of a normal log-SNR: ``sigmoid(-logsnr / 2)``."""
    return logit_normal(-mean / 2, std / 2)


def find_traps(run: MusubiRun) -> list[str]:
    """Name what a run's options do not do."""
    low, high = run.ends
    traps = []
    given = run.options.keys()
    if run.mode == "sigma":
        if {"min_timestep", "max_timestep"} & given:
            traps.append(
                f"min_timestep {STEPS * low:g}, max_timestep {STEPS * high:g}: turned"
                f" round: timestep_sampling is sigma (the default), which trains sigma"
                f" {1 - high:.3g}-{1 - low:.3g}; add --timestep_sampling uniform or"
                " shift"
            )
        if run.number("discrete_flow_shift", 1.0) != 1.0:
            traps.append(
                "discrete_flow_shift: ignored in training by timestep_sampling sigma"
                " (the default); add --timestep_sampling shift"
            )
        if run.kept_shape:
            traps.append(
                "preserve_distribution_shape: ignored by timestep_sampling sigma; add"
                " --timestep_sampling uniform or shift"
            )
        return traps
    if run.mode != "shift" and run.number("discrete_flow_shift", 1.0) != 1.0:
        traps.append(
            f"discrete_flow_shift: ignored by timestep_sampling {run.mode}; use shift"
        )
    if (low, high) != (0.0, 1.0) and not run.kept_shape and run.mode != "uniform":
        traps.append(
            f"min_timestep {STEPS * low:g}, max_timestep {STEPS * high:g}: the whole"
            " density is squeezed into this range, so that it is no longer that of"
            f" timestep_sampling {run.mode}; add --preserve_distribution_shape"
        )
    if run.options.get("weighting_scheme") in ("logit_normal", "mode"):
        traps.append(
            f"weighting_scheme {run.options['weighting_scheme']}: no density with"
            f" timestep_sampling {run.mode}; it acts in mode sigma alone"
        )
    if run.mode != "logsnr" and not run.mode.startswith("qinglong"):
        unread = sorted({"logit_mean", "logit_std"} & given)
        if unread:
            traps.append(
                f"{', '.join(unread)}: ignored by timestep_sampling {run.mode}; use"
                " logsnr"
            )
    return traps


def find_notes(run: MusubiRun) -> list[str]:
    """Name what else weighs on the levels of a run."""
    notes = []
    scheme = run.options.get("weighting_scheme")
    if scheme in ("sigma_sqrt", "cosmap"):
        notes.append(f"weighting_scheme {scheme} weights the loss by noise level")
    task = str(run.options.get("task", ""))
    if task in BOUNDARIES and run.boundary is None and run.ends == (0.0, 1.0):
        notes.append(
            f"task {task}: one network, trained at all levels; in sampling it is used"
            f" on one side of {BOUNDARIES[task]:g} alone"
        )
    return notes
