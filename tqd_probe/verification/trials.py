"""One trial: a short training with one sampler and seed, and its golden losses.

A finished trial is one small file, so that a killed verification resumes. The file
holds a hash of everything that shapes the trial; one with another hash is run again.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.errors import TqdError
from tqd_probe.core.files import digest, read_json, write_json
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.core.version import __version__
from tqd_probe.sampling.names import ON_BASE
from tqd_probe.training.settings import TrainRunSettings, TrainSettings
from tqd_probe.training.train import train
from tqd_probe.verification.compared_samplers import ComparedSampler
from tqd_probe.verification.settings import VerificationRunSettings

log = logging.getLogger("tqd_probe")

# Options of a training, as verify calls them.
OPTION_NAMES = {"--validation": "--golden", "--sampler": "--samplers"}


class StoppedBySignal(Exception):
    """A signal ended a trial.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        """Note the signal."""
        super().__init__(f"signal {number}")
        self.number = number


@dataclass(frozen=True)
class TrialLosses:
    """Held-out losses of golden clips in one trial.

    Attributes:
        before: Before training ``[clips, buckets]``.
        after: After training ``[clips, buckets]``.
        start: Before training, of all validation clips ``[clips, buckets]``.
    """

    before: np.ndarray
    after: np.ndarray
    start: np.ndarray


def training_settings(
    settings: VerificationRunSettings, sampler: ComparedSampler, seed: int, out: Path
) -> TrainRunSettings:
    """Return the settings of the training of one trial.

    Args:
        settings: The verification's settings.
        sampler: What is trained with.
        seed: Seed of the trial: samples, noise, captions dropped, LoRA start.
        out: Folder of the trial.

    Returns:
        Settings of a training that validates before its first step and at its end.
    """
    shared = set(VerificationRunSettings.model_fields) & set(
        TrainRunSettings.model_fields
    )
    values = settings.model_dump(include=shared)
    values |= {
        "out": out,
        "sampler": sampler.name,
        "schedule": sampler.schedule,
        "seed": seed,
        "clips_seed": settings.seed
        if settings.clips_seed is None
        else settings.clips_seed,
        "validation": settings.golden,
        "validate_clips": settings.golden_clips,
        "validate_every": settings.steps,
        "save_every": settings.steps,
        "keep": 1,
        "log_every": settings.steps,
        "report_to": "none",
    }
    if sampler.name == "mixture":
        values["order"] = None
    if settings.base == "measured" and sampler.name not in ON_BASE:
        values["base"] = "uniform"  # the others have a density of their own
    if "measured" in (values["base"], sampler.name):
        values["shift"] = None  # of the other samplers: a measured one takes none
    return TrainRunSettings.model_validate(values)


def trial_key(options: TrainRunSettings, inputs: dict[str, Any]) -> str:
    """Hash everything that shapes a trial.

    Args:
        options: Settings of its training.
        inputs: Fingerprints of checkpoint, clips and schedules.

    Returns:
        64 hexadecimal digits.
    """
    shaping = {*TrainSettings.model_fields, "validation", "validate_clips"}
    return digest(
        {
            "settings": options.model_dump(mode="json", include=shaping),
            "inputs": inputs,
            "tqd_probe": __version__,
        }
    )


def run_trial(
    settings: VerificationRunSettings,
    sampler: ComparedSampler,
    place: int,
    number: int,
    inputs: dict[str, Any],
    start: np.ndarray | None = None,
) -> TrialLosses:
    """Run one trial, or read it if it is finished.

    Args:
        settings: The verification's settings.
        sampler: What is trained with.
        place: Index of the sampler among those under comparison.
        number: Number of the seed, from 0.
        inputs: Fingerprints of checkpoint, clips and schedules.
        start: `TrialLosses.start` of another sampler's trial of this seed: weights,
            clips, levels and noise are the same before training.

    Returns:
        The losses of golden clips.

    Raises:
        StoppedBySignal: If a signal arrived; the trial will run again.
    """
    name = f"seed-{number:02d}-{place:02d}-{sampler.name}"
    path = settings.out / "trials" / f"{name}.json"
    work = path.with_name(f".{name}")
    seed = settings.seed + number
    options = training_settings(settings, sampler, seed, work)
    key = trial_key(options, inputs)
    finished = _read_finished(path, key)
    if finished is not None:
        return finished
    shutil.rmtree(work, ignore_errors=True)
    with options_of_verify(work):
        result = train(options, quiet=True, figures=False, start_losses=start)
    if result.stopped_by:
        raise StoppedBySignal(result.stopped_by)
    rows = read_jsonl(work / "validation_losses.jsonl")
    write_json(
        path,
        {
            "label": sampler.label,
            "seed": seed,
            "key": key,
            "classes": rows[-1]["classes"],
            "clips": rows[-1]["clips"],
            "before": rows[0]["losses"],
            "after": rows[-1]["losses"],
            "density": read_json(work / "density.json", "a density")["counts"],
        },
    )
    shutil.rmtree(work, ignore_errors=True)
    return _golden_losses(read_json(path, "a finished trial"))


def _read_finished(path: Path, key: str) -> TrialLosses | None:
    """Read a finished trial; None where it is missing, damaged or another one."""
    if not path.exists():
        return None
    try:
        value = read_json(path, "a finished trial")
        if value["key"] == key:
            return _golden_losses(value)
        log.warning("%s: a trial of another configuration; it is run again", path)
    except (TqdError, KeyError, TypeError, ValueError, IndexError):
        log.warning("%s: damaged; the trial is run again", path)
    return None


def _golden_losses(value: dict[str, Any]) -> TrialLosses:
    """Pick the golden clips of a finished trial."""
    golden = np.array([name == GOLDEN for name in value["classes"]])
    start = np.array(value["before"], float)
    return TrialLosses(
        start=start,
        before=start[golden],
        after=np.array(value["after"], float)[golden],
    )


@contextmanager
def options_of_verify(work: Path | None = None) -> Iterator[None]:
    """Name the options of verify in errors that a training raises.

    Args:
        work: Folder of the trial, where its ``quarantine.json`` is.

    Yields:
        Nothing.

    Raises:
        TqdError: The training's error, of its own type.
    """
    try:
        yield
    except TqdError as error:
        text = rename_options(str(error))
        if work is not None:
            text = text.replace("quarantine.json", str(work / "quarantine.json"))
        raise type(error)(text) from error


def rename_options(text: str) -> str:
    """Replace options of a training by those of verify.

    Args:
        text: A message.

    Returns:
        The message with verify's names.
    """
    return re.sub(
        r"--[a-z][a-z-]*", lambda found: OPTION_NAMES.get(found[0], found[0]), text
    )
