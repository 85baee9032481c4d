"""The configuration of a probe: one field per option, each with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma, unshift_sigma
from tqd_probe.core.shared_settings import (
    ClipShapeSettings,
    HardwareSettings,
    PrecisionSettings,
    QuarantineSettings,
    SeedSettings,
    Settings,
)
from tqd_probe.probing.option_groups import (
    DegradedCopySettings,
    MeasurementSettings,
    MixtureCriterionSettings,
    ProbedCheckpointSettings,
    ProbedClipSettings,
)
from tqd_probe.probing.option_parsing import read_levels


class ProbeSettings(
    ProbedCheckpointSettings,
    ProbedClipSettings,
    QuarantineSettings,
    DegradedCopySettings,
    ClipShapeSettings,
    MeasurementSettings,
    MixtureCriterionSettings,
    SeedSettings,
    PrecisionSettings,
):
    """What shapes a probe and its schedule."""

    def level_confidence(self) -> float:
        """Return the confidence of each level's intervals, as if computed once.

        Returns:
            `confidence`; with `family_wise` each level has an equal part of the error,
            and so has, of that, each analysis that a level may get.
        """
        levels = len(self.sigmas()) if self.family_wise else 1
        return 1 - (1 - self.confidence) / (levels * self.analyses())

    def analyses(self) -> int:
        """Return how often a level may be analysed.

        Returns:
            1, or with `adaptive` once per draw, and once more after the first
            `LEAST_CLIPS` clips where there are more.
        """
        if not self.adaptive:
            return 1
        more = self.num_clips is None or self.num_clips > LEAST_CLIPS
        return self.draws + int(more)

    def sigmas(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return the noise levels, rising ``[L]``.

        Args:
            low: Lowest level of the network.
            high: Highest level of the network.

        Returns:
            Values of sigma in (0, 1). Counted levels fill the network's range.

        Raises:
            InputError: If a given level is outside the network's range.
        """
        found = read_levels(self.levels, self.shift)
        if self.levels.strip().isdigit():
            u = (np.arange(len(found)) + 0.5) / len(found)
            ends = unshift_sigma(np.array([low, high]), self.shift)
            return shift_sigma(ends[0] + (ends[1] - ends[0]) * u, self.shift)
        outside = found[(found < low) | (found > high)]
        if len(outside):
            raise InputError(
                f"--levels {outside[0]:g}: outside the network's range of sigma,"
                f" {low:.4g} to {high:.4g}; give levels inside it, or a count"
            )
        return found


class ProbeHardwareSettings(HardwareSettings):
    """How the network runs; the result does not depend on it."""

    batch_size: int | None = Field(
        default=None,
        ge=1,
        description="clip versions per forward and backward pass (default: all"
        " versions of a clip, or as many as a trial pass says fit into memory;"
        " those of several draws where the network is small)",
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="threads that read, draw and degrade clips while the autoencoder"
        " encodes others, each with a process that decodes; 0: none (default: beside a"
        " GPU one per free core, at most 8; on a CPU 1)",
    )
    compile: Literal["off", "on"] = Field(
        default="off",
        description="compile the network's blocks with torch.compile; the first pass"
        " takes up to a minute, and compares gradients with those of the network as it"
        " is written",
    )

    shard: bool = Field(
        default=False,
        description="divide the weights over the processes of accelerate launch (FSDP),"
        " which then run the same number of passes, each on clips of its own",
    )

    @model_validator(mode="after")
    def _compiled_weights_stay(self) -> ProbeHardwareSettings:
        if self.compile == "on" and self.offload:
            raise ValueError(
                "--compile on: compiled blocks cannot be offloaded; leave out one"
            )
        return self


class ProbeRunDirectorySettings(Settings):
    """Where a probe is kept."""

    heading: ClassVar[str] = "run directory"

    out: Path | None = Field(
        default=None,
        description="folder of all that is written; the same command resumes (default:"
        " runs/NAME-HASH, by checkpoint and settings)",
    )
    overwrite: bool = Field(
        default=False,
        description="replace a run of another configuration; gradients that still fit"
        " are kept",
    )


class ProbeCheckSettings(Settings):
    """What is done before a probe, or instead of it."""

    heading: ClassVar[str] = "before the run"

    plan: bool = Field(
        default=False,
        description="measure 3 levels with few clips, print what intervals of"
        " --plan-width cost, write nothing else",
    )
    plan_width: float = Field(
        default=0.1,
        ge=1e-3,
        lt=2,
        description="wanted width of cosine intervals, for --plan",
    )
    self_check: bool = Field(
        default=False,
        description="first compare the engine with torch.func in float64 on two draws;"
        " no schedule where they disagree",
    )


class ProbeRunSettings(
    ProbeSettings, ProbeHardwareSettings, ProbeRunDirectorySettings, ProbeCheckSettings
):
    """A probe and where it runs; these fields do not change the result."""
