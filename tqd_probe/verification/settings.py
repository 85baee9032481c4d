"""The configuration of a verification: which samplers, trained how, judged on what."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from tqd_probe.core.errors import InputError
from tqd_probe.core.shared_settings import (
    ClipShapeSettings,
    OptimisationSettings,
    PrecisionSettings,
    QuarantineSettings,
    SeedSettings,
    Settings,
)
from tqd_probe.sampling.names import SAMPLERS
from tqd_probe.training.settings import (
    LevelDensity,
    TrainedCheckpoint,
    TrainingClips,
    TrainingHardware,
    TrainRunSettings,
)


class Comparison(Settings):
    """What is compared, and how it is judged."""

    heading: ClassVar[str] = "comparison"

    samplers: str = Field(
        default="uniform,beta",
        description="NAME[=SCHEDULE],...: samplers to compare, the first is the"
        " baseline; such as uniform,beta=bands.json,bands=bands.json",
    )
    golden: str = Field(
        description="golden clips to judge by, none of them in --clips; as --clips"
    )
    golden_clips: int = Field(
        default=24, ge=2, description="golden clips to judge by at most"
    )
    seeds: int = Field(
        default=5,
        ge=2,
        le=100,
        description="trials of each sampler at most; below 4 only large effects show",
    )
    confidence: float = Field(
        default=0.95,
        ge=0.5,
        le=0.9999,
        description="confidence of the verdicts, 0.5 to 0.9999",
    )
    early_stop: bool = Field(
        default=True,
        description="analyse after each seed from the third on and stop when every"
        " sampler is told apart from the first; one analysis, at the end, gives"
        " narrower intervals",
    )

    @field_validator("samplers")
    @classmethod
    def _samplers(cls, text: str) -> str:
        try:
            read_arms(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text


class TrialSettings(
    TrainedCheckpoint,
    TrainingClips,
    ClipShapeSettings,
    Comparison,
    LevelDensity,
    OptimisationSettings,
    SeedSettings,
    PrecisionSettings,
):
    """What decides the outcome of a verification."""

    steps: int = Field(default=200, ge=1, description="optimiser steps of each trial")


class TrialRun(Settings):
    """Where a verification is kept."""

    heading: ClassVar[str] = "run directory"

    out: Path = Field(
        description="folder of all that is written; the same command resumes"
    )


class TrialRunSettings(TrialSettings, QuarantineSettings, TrainingHardware, TrialRun):
    """A verification and where it runs; these fields do not change the outcome."""


class Arm:
    """One thing to compare: a sampler, perhaps with a schedule.

    Attributes:
        label: Its name in tables, unique.
        sampler: Name of the sampler.
        schedule: Its schedule file, or None.
    """

    def __init__(self, label: str, sampler: str, schedule: Path | None) -> None:
        """See the class."""
        self.label, self.sampler, self.schedule = label, sampler, schedule


def read_arms(text: str) -> list[Arm]:
    """Read what to compare.

    Args:
        text: ``NAME[=SCHEDULE]`` separated by commas.

    Returns:
        The arms, at least two; a repeated one is numbered.

    Raises:
        InputError: If a sampler is unknown, lacks its schedule, or stands alone.
    """
    arms: list[Arm] = []
    for part in text.split(","):
        name, equals, path = part.strip().partition("=")
        if name not in SAMPLERS:
            raise InputError(
                f"{name!r} is no sampler; choose from {', '.join(SAMPLERS)}, as in"
                " uniform,bands=bands.json"
            )
        if name in ("bands", "mixture") and not path:
            raise InputError(f"{name} needs a schedule: write {name}=bands.json")
        if equals and not path:
            raise InputError(f"{part.strip()!r}: no file after the equals sign")
        label = f"{name}={Path(path).name}" if path else name
        same = sum(arm.label.split("#")[0] == label for arm in arms)
        if same:
            label += f"#{same + 1}"
        arms.append(Arm(label, name, Path(path) if path else None))
    if len(arms) < 2:
        raise InputError("one sampler is nothing to compare; give two or more")
    return arms


def trial_options(
    settings: TrialRunSettings, arm: Arm, seed: int, out: Path
) -> TrainRunSettings:
    """Return the settings of one trial.

    Args:
        settings: The verification's settings.
        arm: What is trained with.
        seed: Seed of the trial: samples, noise, captions dropped, LoRA start.
        out: Folder of the trial.

    Returns:
        Settings of a training that validates at its end.
    """
    shared = set(TrialRunSettings.model_fields) & set(TrainRunSettings.model_fields)
    values = settings.model_dump(include=shared)
    values |= {
        "out": out,
        "sampler": arm.sampler,
        "schedule": arm.schedule,
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
    if arm.sampler == "mixture":
        values["order"] = None
    return TrainRunSettings.model_validate(values)
