"""The configuration of a verification: which samplers, trained how, judged on what."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from tqd_probe.core.errors import InputError
from tqd_probe.core.shared_settings import (
    ClipShapeSettings,
    OptimisationSettings,
    PrecisionSettings,
    QuarantineSettings,
    RunDirectorySettings,
    SeedSettings,
    Settings,
)
from tqd_probe.sampling.names import ON_BASE
from tqd_probe.training.settings import (
    LevelDensitySettings,
    TrainedCheckpointSettings,
    TrainingClipSettings,
    TrainingHardwareSettings,
)
from tqd_probe.verification.compared_samplers import parse_compared_samplers


class ComparisonSettings(Settings):
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
        description="confidence of all comparisons together, 0.5 to 0.9999",
    )
    early_stop: bool = Field(
        default=True,
        description="analyse after each seed from the third on and stop when every"
        " sampler is shown to differ from the first; one analysis, at the end, gives"
        " narrower intervals",
    )

    @field_validator("samplers")
    @classmethod
    def _samplers(cls, text: str) -> str:
        try:
            parse_compared_samplers(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text


class VerificationSettings(
    TrainedCheckpointSettings,
    TrainingClipSettings,
    ClipShapeSettings,
    ComparisonSettings,
    LevelDensitySettings,
    OptimisationSettings,
    SeedSettings,
    PrecisionSettings,
):
    """What decides the outcome of a verification."""

    steps: int = Field(default=200, ge=1, description="optimiser steps of each trial")

    @model_validator(mode="after")
    def _base_of_some(self) -> VerificationSettings:
        names = {each.name for each in parse_compared_samplers(self.samplers)}
        if self.base == "measured" and not names & ON_BASE:
            raise ValueError(
                "--base measured: changes none of --samplers; add bands=bands.json, or"
                " leave it out"
            )
        return self


class VerificationRunSettings(
    VerificationSettings,
    QuarantineSettings,
    TrainingHardwareSettings,
    RunDirectorySettings,
):
    """A verification and where it runs; these fields do not change the outcome."""
