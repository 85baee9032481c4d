"""The mixture as a part of the band schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.json_models import StrictModel

Share = Annotated[float, Field(ge=0, le=1)]
ShareInterval = tuple[Share, Share]
Risk = Annotated[float, Field(allow_inf_nan=False)]


Shift = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BetaFit(StrictModel):
    """Beta distribution of u fitted to the bands or weights."""

    alpha: float = Field(gt=0, description="First parameter.")
    beta: float = Field(gt=0, description="Second parameter.")
    ks: float = Field(ge=0, le=1, description="Kolmogorov-Smirnov distance.")
    # Files without it hold fits of sigma itself.
    shift: Shift = Field(default=1.0, description="Timestep shift from u to sigma.")


class OffsetFit(StrictModel):
    """Offset on the logit of u of a logit-normal of unit width."""

    value: float = Field(description="Mean of the logit of u.")
    ks: float = Field(ge=0, le=1, description="Kolmogorov-Smirnov distance.")
    shift: Shift = Field(default=1.0, description="Timestep shift from u to sigma.")


class BandFit(StrictModel):
    """Hard bands fitted to weights."""

    intervals: list[tuple[Share, Share]] = Field(description="Disjoint and rising.")
    ks: float = Field(ge=0, le=1, description="Kolmogorov-Smirnov distance.")


class WeightFits(StrictModel):
    """What other trainers can take instead of a class's measured weights."""

    beta: BetaFit
    logit_offset: OffsetFit
    bands: BandFit


class Mixture(StrictModel):
    """Class weights per level (criterion ``mixture``)."""

    classes: list[str] = Field(min_length=1, description="Classes, golden first.")
    pool: dict[str, int] = Field(description="Clips of each class in the data set.")
    weights: list[list[Share]] = Field(description="Weights per level, summing to 1.")
    form: Literal["per-level", "joint"] = Field(
        default="per-level",
        description="Golden matched level by level, or summed over levels.",
    )
    floor: Share = Field(default=0.0, description="Least share of admitted classes.")
    weights_ci: list[list[ShareInterval | None]] | None = Field(
        default=None, description="Intervals of the weights, per level and class."
    )
    level_density: list[Share] | None = Field(
        default=None, description="Share of training at each level, summing to 1."
    )
    level_density_ci: list[ShareInterval | None] | None = Field(
        default=None, description="Its intervals (joint form)."
    )
    resolved: list[bool] | None = Field(
        default=None, description="Where weights rest on a resolved golden gradient."
    )
    risk: dict[str, list[Risk | None]] | None = Field(
        default=None,
        description="Predicted squared gradient error of the mixture and of other ways"
        " to train: a class alone, pooled, the paper's Beta; one per level or one.",
    )
    psd_repair: list[Annotated[float, Field(ge=0)]] | None = Field(
        default=None,
        description="Size of the most negative eigenvalue removed; 0 where none was.",
    )
    fits: dict[str, WeightFits | None] | None = Field(
        default=None, description="Densities fitted to each class's weights."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Mixture:
        if self.classes[0] != GOLDEN:
            raise ValueError("classes: golden must come first")
        for name in self.classes:
            if self.pool.get(name, -1) < 0:
                raise ValueError(f"pool.{name}: must be a number of clips")
        count = len(self.weights)
        for row, weights in enumerate(self.weights):
            if len(weights) != len(self.classes):
                raise ValueError(f"weights.{row}: one weight per class")
            if abs(sum(weights) - 1) > 1e-6:
                raise ValueError(f"weights.{row}: must sum to 1")
        for key in ("weights_ci", "level_density", "level_density_ci", "resolved"):
            values = getattr(self, key)
            if values is not None and len(values) != count:
                raise ValueError(f"{key}: {len(values)} values for {count} levels")
        if self.level_density and abs(sum(self.level_density) - 1) > 1e-6:
            raise ValueError("level_density: must sum to 1")
        rows = [row for row in self.weights_ci or [] if len(row) != len(self.classes)]
        if rows:
            raise ValueError("weights_ci: one interval per class")
        pairs = [pair for row in self.weights_ci or [] for pair in row]
        for low, high in filter(None, [*pairs, *(self.level_density_ci or [])]):
            if low > high:
                raise ValueError("intervals must go from lower to upper bound")
        parts = 1 if self.form == "joint" else count
        for name, values in (self.risk or {}).items():
            if len(values) != parts:
                raise ValueError(f"risk.{name}: {len(values)} values, not {parts}")
        return self
