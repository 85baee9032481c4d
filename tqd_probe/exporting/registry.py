"""The trainers whose configurations are read, by name."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import DATA_SETS, TRAINERS, refuse_other_kinds
from tqd_probe.core.structured_text import FORMATS as FILE_FORMATS
from tqd_probe.exporting.ai_toolkit import AiToolkit
from tqd_probe.exporting.configuration_files import read_configuration
from tqd_probe.exporting.diffsynth import DiffSynth
from tqd_probe.exporting.diffusion_pipe import DiffusionPipe
from tqd_probe.exporting.fastvideo import FastVideo
from tqd_probe.exporting.ltx2 import Ltx2
from tqd_probe.exporting.musubi import Musubi
from tqd_probe.exporting.nemo import Nemo
from tqd_probe.exporting.own_run import OwnRun
from tqd_probe.exporting.simpletuner import SimpleTuner
from tqd_probe.exporting.trainer_format import TrainerFormat

FORMATS: dict[str, TrainerFormat] = {
    each.name: each
    for each in (
        DiffSynth(),
        SimpleTuner(),
        Musubi(),
        DiffusionPipe(),
        Ltx2(),
        AiToolkit(),
        Nemo(),
        FastVideo(),
        OwnRun(),
    )
}


A_CONFIGURATION = "a trainer's configuration, or the script that launches it"


def instead_of(kind: str, name: str | None, option: str = "--trainer") -> str:
    """Say what to give instead of a file of another kind.

    Args:
        kind: Its kind, a key of `PHRASES`.
        name: The trainer whose configuration is wanted; None for any.
        option: The option that names the trainer.

    Returns:
        The cure.
    """
    title = "a trainer" if name is None else FORMATS[name].title
    if kind in DATA_SETS:
        return f"give the configuration of {title} that names it"
    if kind in TRAINERS:
        return f"give one of {title}, or {option} {kind}"
    runs = ", or a run directory of train" if name is None else ""
    return f"give the configuration or launch script of {title}{runs}"


def find_format(path: Path, name: str | None = None) -> TrainerFormat:
    """Return the trainer that a configuration is of.

    Args:
        path: The configuration.
        name: The trainer's name; None to recognise it.

    Returns:
        The trainer's module.

    Raises:
        InputError: If no trainer, or more than one, is recognised.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; give {A_CONFIGURATION}")
    read = {"train folder"} if name in (None, "tqd-probe") else set()
    read |= {"run"} if read and path.name == "run.json" else set()
    read |= TRAINERS.keys() if name is None else {name}
    read |= {"folder"} if (path / "run.json").is_file() else set()
    refuse_other_kinds(path, read, lambda kind: instead_of(kind, name))
    if name is not None:
        return FORMATS[name]
    found = [each for each in FORMATS.values() if each.recognises(path)]
    if len(found) == 1:
        return found[0]
    if not found and path.suffix in FILE_FORMATS:
        read_configuration(path)  # says what is wrong with a damaged one
    known = ", ".join(each.name for each in found) or ", ".join(FORMATS)
    fault = "could be of several trainers" if found else "of no known trainer"
    raise InputError(f"{path}: {fault}; say which with --trainer: {known}")
