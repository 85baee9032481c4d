"""The band schedule: what was measured, as validated JSON.

Format ``tqd-band-schedule`` version 2; version 1 is read too. Unknown keys, other
versions, NaN, lists of the wrong length, levels or intervals out of order are refused
with the JSON path of the fault. Values that are undefined (an unresolved level) are
``null``.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from tqd_probe.core.clip_classes import DEGRADED_CLASSES, GOLDEN
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.core.json_models import StrictModel, read_model
from tqd_probe.core.known_files import beside, explained
from tqd_probe.schedules.curves_schema import Curves, Interval, Level, Number
from tqd_probe.schedules.golden_density import TOLERANCE, GoldenDensity, integral
from tqd_probe.schedules.mixture_schema import Mixture

VERSION = 2
SINCE_VERSION_2 = ("test", "avoid", "reason", "clips_for_stable_bands")


class Provenance(StrictModel):
    """Where a schedule comes from."""

    tool_version: str = Field(description="Version of tqd_probe.")
    argv: list[str] | None = Field(
        default=None, description="The command that made it; in old files."
    )
    settings: dict[str, JsonValue] | None = Field(
        default=None, description="Settings of the probe that made it, resolved."
    )
    seed: int = Field(ge=0, lt=2**63, description="Run seed.")


class Model(StrictModel):
    """The checkpoint a schedule was measured on."""

    family: str = Field(description="Model family.")
    source: str = Field(description="Checkpoint as it was given.")
    fingerprint: str = Field(
        pattern=r"^sha256:\S+$", description="Hash of the network's weights."
    )
    expert: str | None = Field(description="Expert, for families with several.")
    parameters: str = Field(description="'all', 'lora', or the expression probed.")
    prediction: str = Field(description="What the network predicts.")


class CarriedTo(StrictModel):
    """A model that a schedule was carried to without measuring anything on it."""

    family: str = Field(description="Model family.")
    source: str = Field(description="Checkpoint as it was given.")
    fingerprint: str = Field(
        pattern=r"^sha256:\S+$", description="Hash of the network's weights."
    )
    prediction: str = Field(description="What the network predicts.")
    scale: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="Size of its latents over that of the latents measured.",
    )


class Noise(StrictModel):
    """The noise axis."""

    axis: Literal["sigma"] = Field(description="Noise variable of levels and bands.")
    shift: float = Field(gt=0, description="Timestep shift that spaced the levels.")
    levels: list[Level] = Field(min_length=1, description="Levels measured, rising.")
    logsnr: list[Number] = Field(description="Log signal-to-noise ratio per level.")

    @field_validator("levels")
    @classmethod
    def _rising(cls, levels: list[float]) -> list[float]:
        if any(b <= a for a, b in pairwise(levels)):
            raise ValueError("levels must rise")
        return levels


class Criterion(StrictModel):
    """When a level belongs to a band."""

    name: Literal["cosine", "mixture"] = Field(description="Name of the criterion.")
    cos_min: float = Field(ge=-1, le=1, description="Least cosine.")
    delta: float = Field(
        default=0.0,
        ge=0,
        le=2,
        description="How far below it the lower bound may lie; version 1: not at all.",
    )
    norm_range: Interval = Field(description="Range of the norm ratio.")
    confidence: float = Field(gt=0, lt=1, description="Of all intervals.")
    family_wise: bool = Field(
        default=False, description="Whether it holds for all levels together."
    )
    metric: Literal["raw", "adam", "fisher"] = Field(
        default="raw", description="Metric of all gradients."
    )

    @field_validator("norm_range")
    @classmethod
    def _positive(cls, value: Interval) -> Interval:
        if not 0 < value[0] < value[1]:
            raise ValueError("needs 0 < low < high")
        return value


class ClipSize(StrictModel):
    """The shape of the clips that were measured."""

    # Bounds as of the options that take them over.
    frames: int = Field(ge=1, le=100_000, description="Frames per clip.")
    height: int = Field(ge=8, le=100_000, description="Height in pixels.")
    width: int = Field(ge=8, le=100_000, description="Width in pixels.")
    fps: float = Field(ge=0.01, le=10_000, description="Frames per second.")


class Golden(StrictModel):
    """What golden gradients are like."""

    clips: int = Field(ge=2, description="Golden clips.")
    draws: int = Field(ge=1, description="Noise draws per clip and level.")
    snr: list[Number | None] = Field(description="Signal over per-clip variance.")
    resolved: list[bool] = Field(description="Whether bands may rest on the level.")
    loss: list[Number] | None = Field(
        default=None, description="Mean training loss: how far the model has learned."
    )
    ceiling: list[Number | None] | None = Field(
        default=None, description="Noise ceiling of the plain cosine."
    )


class BandSchedule(StrictModel):
    """A band schedule; docs/files.md has the meaning of every field."""

    model_config = ConfigDict(populate_by_name=False, serialize_by_alias=True)

    format: Literal["tqd-band-schedule"] = Field(description="Name of the format.")
    version: int = Field(ge=1, le=VERSION, description="Version of the format.")
    provenance: Provenance
    model: Model
    carried_to: CarriedTo | None = Field(
        default=None, description="The model it was carried to, if it was."
    )
    noise: Noise
    criterion: Criterion
    clip: ClipSize | None = Field(
        default=None, description="Shape of the clips; null if it is not known."
    )
    golden: Golden
    classes: dict[str, Curves] = Field(
        description="Curves and intervals by class; of every class, measured or not."
    )
    degradations_detail: dict[str, Curves] = Field(
        default_factory=dict, description="The same by degradation, as 'blur:3'."
    )
    mixture: Mixture | None = Field(default=None, description="Mixture weights.")
    golden_density: GoldenDensity | None = Field(
        default=None,
        alias="density",  # in the file; `density` here is that of a class
        description="Density of sigma for every clip, measured on golden ones; null"
        " where their gradients are resolved at fewer than two levels.",
    )
    cross_level: dict[str, list[list[Number | None]]] | None = Field(
        default=None,
        description="Cosine of golden at one level (rows) with a class at another.",
    )
    severities: dict[str, list[Number]] | None = Field(
        default=None,
        description="Latent distance to golden by severity (--match-severity).",
    )

    @field_validator("classes")
    @classmethod
    def _known(cls, classes: dict[str, Curves]) -> dict[str, Curves]:
        for name in classes:
            if name not in DEGRADED_CLASSES:
                known = ", ".join(DEGRADED_CLASSES)
                raise ValueError(f"{name} is not a class; known: {known}")
        return classes

    @model_validator(mode="after")
    def _of_its_version(self) -> BandSchedule:
        entries = {f"classes.{name}": each for name, each in self.classes.items()}
        entries |= {
            f"degradations_detail.{name}": each
            for name, each in self.degradations_detail.items()
        }
        if self.version == 1:
            newer = [
                f"{path}.{key}"
                for path, each in entries.items()
                for key in SINCE_VERSION_2
                if getattr(each, key) is not None
            ]
            newer += [p for p, each in entries.items() if each.status != "measured"]
            newer += ["clip"] if self.clip is not None else []
            newer += ["density"] if self.golden_density is not None else []
            newer += ["criterion.delta"] if self.criterion.delta else []
            if newer:
                raise ValueError(f"{newer[0]}: not in version 1 of the format")
            return self
        stated: list[tuple[str, str, StrictModel]] = [
            ("criterion", "delta", self.criterion),
            ("criterion", "metric", self.criterion),
        ]
        stated += [(path, "status", each) for path, each in entries.items()]
        for path, key, part in stated:
            if key not in part.model_fields_set:
                raise ValueError(f"{path}.{key}: missing; version 2 states it")
        for path, each in entries.items():
            if each.possible is not None:
                raise ValueError(f"{path}.possible: of version 1 of the format alone")
        return self

    @model_validator(mode="after")
    def _lengths(self) -> BandSchedule:
        count = len(self.noise.levels)
        lists: dict[str, list[Any]] = {
            "noise.logsnr": self.noise.logsnr,
            "golden.snr": self.golden.snr,
            "golden.resolved": self.golden.resolved,
        }
        for where in ("classes", "degradations_detail"):
            entries: dict[str, Curves] = getattr(self, where)
            for name, curves in entries.items():
                for key in _PER_LEVEL:
                    values = getattr(curves, key)
                    if values or curves.status == "measured":
                        lists[f"{where}.{name}.{key}"] = values
                if curves.bias2_ci is not None:
                    lists[f"{where}.{name}.bias2_ci"] = curves.bias2_ci
        for key in ("loss", "ceiling"):
            if getattr(self.golden, key) is not None:
                lists[f"golden.{key}"] = getattr(self.golden, key)
        if self.mixture is not None:
            lists["mixture.weights"] = self.mixture.weights
        if self.golden_density is not None:
            lists["density.values"] = self.golden_density.values
        for name, table in (self.cross_level or {}).items():
            lists[f"cross_level.{name}"] = table
            for row, values in enumerate(table):
                lists[f"cross_level.{name}.{row}"] = values
        for path, each in lists.items():
            if len(each) != count:
                raise ValueError(f"{path}: {len(each)} values for {count} noise.levels")
        if self.golden_density is not None:
            levels = np.array(self.noise.levels)
            total = integral(levels, np.array(self.golden_density.values))
            if abs(total - 1) > TOLERANCE:
                raise ValueError(f"density.values: integrate to {total:.4g}, not 1")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds.

        Returns:
            Values of JSON; what was not stated stays unstated: it reads as its default.
        """
        return self.model_dump(mode="json", exclude_unset=True)

    def save(self, path: str | Path) -> None:
        """Write the schedule.

        Args:
            path: The JSON file.
        """
        write_json(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> BandSchedule:
        """Read and check a schedule.

        Args:
            path: The JSON file.

        Returns:
            The schedule.

        Raises:
            InputError: With the JSON path of the first fault.
        """
        cure = "correct the file or measure it again with tqd_probe.gradsim"
        path = Path(path)
        found = beside(path, "bands.json")
        instead = f"give {found}" if found else "give bands.json, written by gradsim"
        with explained(path, {"bands"}, lambda kind: f"no band schedule: {instead}"):
            return read_model(path, cls, "a band schedule", cure)

    def check_model(self, fingerprint: str, allow_mismatch: bool = False) -> None:
        """Refuse a schedule that was measured on other weights.

        Args:
            fingerprint: Fingerprint of the checkpoint to be trained.
            allow_mismatch: Accept any checkpoint.

        Raises:
            InputError: If the fingerprints differ.
        """
        if fingerprint != self.model.fingerprint and not allow_mismatch:
            raise InputError(
                f"schedule of {self.model.source}: measured on other weights"
                f" ({self.model.fingerprint[:19]}, not {fingerprint[:19]}); measure it"
                " on this checkpoint, or give --allow-model-mismatch"
            )

    def measured_classes(self) -> dict[str, Curves]:
        """Return the classes that were measured.

        Returns:
            Curves and intervals by class; a class without bands among them is one that
            may be used nowhere.
        """
        every = self.classes.items()
        return {name: each for name, each in every if each.status == "measured"}

    def density(self, name: str, sigma: np.ndarray) -> np.ndarray:
        """Return the density of sigma for a class: uniform on its bands.

        Args:
            name: A class; ``golden`` is uniform on [0, 1].
            sigma: Points in [0, 1].

        Returns:
            Density at each place; 0 everywhere for a class without bands.

        Raises:
            InputError: If the schedule does not know the class.
        """
        if name == GOLDEN:
            return np.ones_like(sigma, dtype=float)
        if name not in self.measured_classes():
            raise InputError(
                f"class {name!r}: not in the schedule; it has"
                f" {', '.join(['golden', *self.measured_classes()])}"
            )
        bands = self.classes[name].bands
        total = sum(b - a for a, b in bands)
        inside = np.zeros_like(sigma, dtype=float)
        for a, b in bands:
            inside += (sigma >= a) & (sigma <= b)
        return np.minimum(inside, 1) / total if total else inside


_PER_LEVEL = (
    "cosine",
    "cosine_ci",
    "cosine_naive",
    "norm_ratio",
    "norm_ratio_ci",
    "bias2",
)
