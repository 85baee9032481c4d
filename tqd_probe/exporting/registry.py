"""The trainers whose configurations are read, by name."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.ai_toolkit import AiToolkit
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
    if name is not None:
        return FORMATS[name]
    found = [each for each in FORMATS.values() if each.recognises(path)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(each.name for each in found) or ", ".join(FORMATS)
    fault = "could be of several trainers" if found else "of no known trainer"
    raise InputError(f"{path}: {fault}; say which with --trainer: {known}")
