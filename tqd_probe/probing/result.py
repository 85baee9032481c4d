"""The result of a probe: what ``gradsim.json`` holds, typed.

Format ``tqd-gradsim`` version 1. A list per level has one value per entry of
``noise.levels``; an undefined number or interval (an unresolved level) is ``null``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from tqd_probe.core.files import write_json
from tqd_probe.core.json_models import StrictModel, read_model
from tqd_probe.schedules.band_schedule import ClipSize, Criterion, Model, Provenance
from tqd_probe.schedules.curves_schema import Interval, Level, Number
from tqd_probe.schedules.decision_schema import Decision
from tqd_probe.schedules.mixture_schema import Mixture

FORMAT = "tqd-gradsim"
Numbers = list[Number | None]
Intervals = list[Interval | None]


class NoiseLevels(StrictModel):
    """The noise axis of a probe."""

    axis: Literal["sigma"] = Field(description="Noise variable of the levels.")
    shift: float = Field(gt=0, description="Timestep shift of counted levels.")
    range: tuple[Level, Level] = Field(
        default=(0.0, 1.0), description="Lowest and highest sigma of the network."
    )
    levels: list[Level] = Field(min_length=1, description="Levels measured, rising.")
    logsnr: list[Number] = Field(description="Log signal-to-noise ratio per level.")


class ProbedClips(StrictModel):
    """The clips of a probe."""

    source: str = Field(description="The clips as they were given.")
    shape: str = Field(description="Frames, pixels and rate.")
    ids: list[str] = Field(description="Golden clips, by name.")
    draws: int = Field(ge=1, description="Noise draws per clip and level.")
    quarantine: dict[str, str] = Field(description="Reason by clip that was left out.")
    size: ClipSize | None = Field(default=None, description="The shape as numbers.")
    too_few: dict[str, int] = Field(
        default_factory=dict,
        description="Real clips of classes that had too few of them to be compared.",
    )


class CountedCost(StrictModel):
    """The work of a probe; counted, so equal for every run of a configuration."""

    clip_gradients: int = Field(ge=0, description="Per-clip gradients in all.")
    passes: int = Field(ge=0, description="Forward and backward passes.")
    batch_size: int = Field(ge=1, description="Clip versions per pass.")
    flops_per_clip_gradient: int = Field(description="Floating-point operations.")
    flops: int = Field(description="Floating-point operations in all.")
    kept: int | str = Field(description="Numbers of a sketch, or 'exact'.")
    sketch_numbers: int = Field(description="Numbers of the sketch across levels.")
    clips_per_level: list[int] = Field(description="Golden clips at each level.")
    unpaired_clips: int = Field(ge=0, description="Imbalanced clips of their own.")
    draws_per_level: list[int] = Field(description="Noise draws at each level.")
    measured: str = Field(description="File of measured seconds and memory.")


class GoldenCurves(StrictModel):
    """What golden gradients are like, per level (`GoldenLevel`)."""

    signal: Numbers = Field(description="Debiased squared norm of the mean.")
    signal_ci: Intervals = Field(description="Its intervals.")
    snr: Numbers = Field(description="Signal over the variance of one clip.")
    ceiling: Numbers = Field(description="Noise ceiling of the plain cosine.")
    resolved: list[bool] = Field(description="Whether bands may rest on the level.")
    clips_to_resolve: Numbers = Field(description="Clips that would resolve it.")
    variance_clips: Numbers = Field(description="Variance between clips.")
    variance_draws: Numbers = Field(description="Variance between draws of a clip.")
    loss: list[Number] = Field(description="Mean training loss.")


class SimilarityCurves(StrictModel):
    """Similarity with golden gradients, per level (`Similarity`)."""

    cosine: Numbers = Field(description="Debiased cosine.")
    cosine_ci: Intervals = Field(description="Its intervals.")
    cosine_naive: Numbers = Field(description="Cosine of mean gradients.")
    norm_ratio: Numbers = Field(description="Debiased norm ratio.")
    norm_ratio_ci: Intervals = Field(description="Its intervals.")
    bias2: Numbers = Field(description="Debiased squared distance.")
    bias2_ci: Intervals | None = Field(default=None, description="Its intervals.")
    sketch_error: Numbers | None = Field(
        default=None, description="Standard error of the cosine by the sketch."
    )


class ComparedClips(StrictModel):
    """What is compared with golden."""

    kind: Literal["class", "degradation"] = Field(description="Pooled, or one alone.")
    degradations: dict[str, int] = Field(description="Severity by degradation.")
    members: list[str] = Field(
        default_factory=list, description="Degradations that a class pools, by name."
    )
    clips: int | None = Field(default=None, description="Clips compared.")
    paired: bool = Field(
        default=True, description="Copies of golden clips, or clips of their own."
    )


class Comparison(SimilarityCurves, ComparedClips):
    """Similarity of a class or a degradation with golden."""


class ModuleGroup(StrictModel):
    """Curves of the gradients of one group of parameters."""

    snr: Numbers = Field(description="Of golden gradients of the group.")
    resolved: list[bool] = Field(description="Whether golden is resolved.")
    subjects: dict[str, SimilarityCurves] = Field(description="Curves by comparison.")


class ProbeResult(StrictModel):
    """Similarity of gradients over noise levels, as measured on a checkpoint."""

    format: Literal["tqd-gradsim"] = Field(description="Name of the format.")
    version: Literal[1] = Field(description="Version of the format.")
    provenance: Provenance
    model: Model
    noise: NoiseLevels
    criterion: Criterion
    clips: ProbedClips
    covered_share: Number = Field(description="Captured share of the squared norm.")
    cost: CountedCost
    golden: GoldenCurves
    subjects: dict[str, Comparison] = Field(
        description="Classes and degradations compared with golden, by name."
    )
    modules: dict[str, ModuleGroup] = Field(description="The same by module group.")
    cross_level: dict[str, list[Numbers]] | None = Field(
        default=None,
        description="Cosine of golden at one level (rows) with a class at another.",
    )
    mixture: Mixture | None = Field(default=None, description="Mixture weights.")
    severities: dict[str, list[Number]] | None = Field(
        default=None, description="Latent distance to golden by severity."
    )
    decision: Decision | None = Field(
        default=None, description="How each class may be used, and what to run next."
    )

    @model_validator(mode="after")
    def _one_value_per_level(self) -> ProbeResult:
        count = len(self.noise.levels)
        for path, values in self._lists_per_level():
            if len(values) != count:
                raise ValueError(
                    f"{path}: {len(values)} values for {count} noise.levels"
                )
        for group, module in self.modules.items():
            missing = self.subjects.keys() - module.subjects.keys()
            if missing:
                raise ValueError(f"modules.{group}.subjects: no {min(missing)}")
        return self

    def _lists_per_level(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Yield every list that has a value per level, with its JSON path."""
        parts: dict[str, StrictModel] = {"golden": self.golden}
        parts |= {f"subjects.{name}": each for name, each in self.subjects.items()}
        for group, module in self.modules.items():
            parts[f"modules.{group}"] = module
            for name, curves in module.subjects.items():
                parts[f"modules.{group}.subjects.{name}"] = curves
        yield "noise.logsnr", self.noise.logsnr
        for path, part in parts.items():
            for key, value in part:
                if isinstance(value, list) and key != "members":
                    yield f"{path}.{key}", value
        for name, table in (self.cross_level or {}).items():
            yield f"cross_level.{name}", table

    @property
    def levels(self) -> np.ndarray:
        """Noise levels, rising ``[L]``."""
        return np.array(self.noise.levels)

    def table(self) -> pd.DataFrame:
        """Return the curves as a table.

        Returns:
            One row per class or degradation (``subject``) and level, with the columns
            subject, kind, clips, paired, sigma, logsnr, resolved, the curves of
            `SimilarityCurves`, and ``..._low`` and ``..._high`` of their intervals;
            undefined values are NaN.
        """
        tables = []
        for name, each in self.subjects.items():
            columns: dict[str, Any] = {
                "subject": name,
                "kind": each.kind,
                "clips": each.clips or len(self.clips.ids),
                "paired": each.paired,
                "sigma": self.noise.levels,
                "logsnr": self.noise.logsnr,
                "resolved": self.golden.resolved,
            }
            for key in ("cosine", "norm_ratio", "bias2"):
                columns[key] = as_array(getattr(each, key))
                bounds = as_bounds(
                    getattr(each, f"{key}_ci") or [None] * len(self.levels)
                )
                columns[f"{key}_low"], columns[f"{key}_high"] = bounds.T
            columns["cosine_naive"] = as_array(each.cosine_naive)
            columns["sketch_error"] = as_array(
                each.sketch_error or [None] * len(self.levels)
            )
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)

    def save(self, path: str | Path) -> None:
        """Write the result.

        Args:
            path: The JSON file.
        """
        write_json(Path(path), self.model_dump(mode="json", exclude_unset=True))

    @classmethod
    def load(cls, path: str | Path) -> ProbeResult:
        """Read and check a result.

        Args:
            path: The JSON file, as a run's ``gradsim.json``; a fault in it is an
                `InputError` that names file and field.

        Returns:
            The result.
        """
        cure = f"not a {FORMAT} file of version 1, or damaged: run gradsim again"
        return read_model(Path(path), cls, "the result of a probe", cure)


def as_array(values: Sequence[float | None]) -> np.ndarray:
    """Return a list per level as an array.

    Args:
        values: Numbers, None where undefined.

    Returns:
        float64 ``[L]``, NaN for None.
    """
    return np.array([np.nan if value is None else value for value in values], float)


def as_bounds(intervals: Sequence[Interval | None]) -> np.ndarray:
    """Return intervals per level as an array.

    Args:
        intervals: Lower and upper bounds, None where undefined.

    Returns:
        float64 ``[L, 2]``, NaN for None.
    """
    pairs = [(np.nan, np.nan) if pair is None else pair for pair in intervals]
    return np.array(pairs, float).reshape(-1, 2)
