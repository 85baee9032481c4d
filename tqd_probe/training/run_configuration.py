"""What decides the trained weights, and the run directory that belongs to it."""

from __future__ import annotations

from typing import IO, Any

from tqd_probe.core.config_file import CONFIG_FILE
from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import file_digest
from tqd_probe.core.run_directory import (
    LOG_FILE,
    RunDescription,
    describe_run,
    differences,
    lock_directory,
    read_description,
    shorten,
)
from tqd_probe.models.base import VideoModel
from tqd_probe.models.lora_file import find_lora_file
from tqd_probe.training.settings import TrainRunSettings, TrainSettings

# written before run.json
EARLY = (
    LOG_FILE,
    CONFIG_FILE,
    "quarantine.json",
    "density.json",
    "density.png",
    "logs",
)
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate", "numpy")


def input_fingerprints(settings: TrainRunSettings, model: VideoModel) -> dict[str, Any]:
    """Fingerprint the files a training starts from; the clips' hash comes later.

    Args:
        settings: The run's settings.
        model: The model to be trained.

    Returns:
        Fingerprints by name.
    """
    found = {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "schedule": file_digest(settings.schedule) if settings.schedule else None,
    }
    if settings.init_lora is not None:
        found["init_lora"] = file_digest(find_lora_file(settings.init_lora))
    return found


def describe_training(
    settings: TrainRunSettings, inputs: dict[str, Any]
) -> RunDescription:
    """Describe what decides the trained weights.

    Args:
        settings: The run's settings.
        inputs: Fingerprints of model, schedule and clips.

    Returns:
        The content of ``run.json``.
    """
    deciding = settings.model_dump(mode="json", include=set(TrainSettings.model_fields))
    return describe_run(deciding, inputs, LIBRARIES)


def reserve_directory(settings: TrainRunSettings, wanted: RunDescription) -> IO[str]:
    """Lock the run directory if it is new or holds a training that this one resumes.

    Called before slow work, so that another configuration is refused early.
    ``run.json`` is written when nothing can be refused any more.

    Args:
        settings: The run's settings.
        wanted: The present configuration, as far as it is known.

    Returns:
        The open lock; the directory is taken until it is closed.

    Raises:
        InputError: If `--resume` finds nothing to resume.
    """
    known = check_directory(settings, wanted)
    if settings.resume and known is None:
        raise InputError(
            f"--resume: --out {settings.out} holds no training to resume; check --out,"
            " or leave --resume out to start one"
        )
    return lock_directory(settings.out)


def check_directory(
    settings: TrainRunSettings, wanted: RunDescription
) -> RunDescription | None:
    """Refuse a run directory with another configuration.

    A training with a constant learning rate may be made longer: its first steps are
    those of the shorter one.

    Args:
        settings: The run's settings.
        wanted: The present configuration.

    Returns:
        The configuration in the directory; None for a new one.

    Raises:
        ConfigurationChanged: If the training there has another configuration.
    """
    known = read_description(settings.out, "training", ignored=EARLY)

    def accepted(name: str, old: Any, now: Any) -> bool:
        longer = name == "steps" and settings.lr_schedule == "constant"
        return longer and isinstance(old, int) and now > old

    changed = differences(known, wanted, accepted) if known else []
    if changed:
        raise ConfigurationChanged(
            f"--out {settings.out}: holds a training with another configuration"
            f" ({shorten(changed)}); resume it with the former one, or use another"
            " --out"
        )
    return known
