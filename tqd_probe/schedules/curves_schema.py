"""The curves and intervals of a class or degradation, as a part of the schedule."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tqd_probe.core.json_models import StrictModel
from tqd_probe.schedules.mixture_schema import BetaFit, OffsetFit

Level = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Interval = tuple[Number, Number]
Band = tuple[Level, Level]
SLACK = 1e-9  # tolerance for rounded edges


def rising_and_disjoint(bands: list[Band] | None) -> list[Band] | None:
    """Refuse intervals that do not rise, overlap, or are not sorted.

    Args:
        bands: Intervals; None for none stated.

    Returns:
        The same.

    Raises:
        ValueError: Says what is wrong.
    """
    edges = [edge for band in bands or [] for edge in band]
    if any(b <= a for a, b in bands or []):
        raise ValueError("each interval must rise from its lower to its upper end")
    if any(b < a for a, b in pairwise(edges)):
        raise ValueError("intervals must be sorted and must not overlap")
    return bands


class Curves(StrictModel):
    """Similarity of a class or a degradation with golden, and where it may be used."""

    status: Literal["measured", "unmeasured"] = Field(
        default="measured",
        description="Unmeasured: nothing is known of it, good or bad.",
    )
    reason: str | None = Field(
        default=None, description="Why it is not measured, or measured otherwise."
    )
    degradations: dict[str, int] = Field(description="Severity by degradation.")
    clips: int = Field(ge=0, description="Clips compared; 0 if unmeasured.")
    paired: bool = Field(
        default=True, description="Copies of golden clips, or clips of their own."
    )
    cosine: list[Number | None] = Field(description="Debiased cosine.")
    cosine_ci: list[Interval | None] = Field(description="Its intervals.")
    cosine_naive: list[Number | None] = Field(description="Cosine of mean gradients.")
    norm_ratio: list[Number | None] = Field(description="Debiased norm ratio.")
    norm_ratio_ci: list[Interval | None] = Field(description="Its intervals.")
    bias2: list[Number] = Field(description="Debiased squared distance.")
    bias2_ci: list[Interval | None] | None = Field(
        default=None, description="Its intervals."
    )
    bands: list[Band] = Field(
        description="Where it may be used: intervals of sigma, disjoint and rising."
    )
    test: list[Band] | None = Field(
        default=None, description="Where the measurement does not say; likewise."
    )
    avoid: list[Band] | None = Field(
        default=None, description="Where it is not as good as golden; likewise."
    )
    edges_ci: list[tuple[Band, Band]] | None = Field(
        default=None, description="Intervals of the lower and upper edge of each band."
    )
    clips_for_stable_bands: int | None = Field(
        default=None,
        ge=1,
        description="Clips at which the bands no longer depend on their number.",
    )
    possible: list[Band] | None = Field(
        default=None,
        description="Version 1: intervals of sigma that the cosine's intervals do not"
        " exclude.",
    )
    beta: BetaFit | None = Field(description="Fit; null without bands.")
    logit_offset: OffsetFit | None = Field(description="Fit; null without bands.")

    @field_validator("cosine_ci", "norm_ratio_ci", "bias2_ci")
    @classmethod
    def _ordered(
        cls, pairs: list[Interval | None] | None
    ) -> list[Interval | None] | None:
        if pairs and any(pair is not None and pair[0] > pair[1] for pair in pairs):
            raise ValueError("each interval must go from its lower to its upper bound")
        return pairs

    @field_validator("bands", "test", "avoid", "possible")
    @classmethod
    def _disjoint(cls, bands: list[Band] | None) -> list[Band] | None:
        return rising_and_disjoint(bands)

    @model_validator(mode="after")
    def _consistent(self) -> Curves:
        if self.status == "unmeasured":
            if self.reason is None:
                raise ValueError("reason: missing; say why it is unmeasured")
            for key in ("bands", "test", "avoid", "beta", "logit_offset"):
                if getattr(self, key):
                    raise ValueError(f"{key}: of a class that is unmeasured")
        elif self.clips < 2:
            raise ValueError(f"clips: {self.clips}; at least 2 are compared")
        marked = [
            (low, high, key)
            for key in ("bands", "test", "avoid")
            for low, high in getattr(self, key) or []
        ]
        for (_, high, first), (low, _, second) in pairwise(sorted(marked)):
            if low < high - SLACK:
                raise ValueError(
                    f"{second}: {low:g} lies in an interval of {first}; bands, test and"
                    " avoid must not overlap"
                )
        return self

    @model_validator(mode="after")
    def _edges_fit(self) -> Curves:
        for low, high in self.bands if self.possible is not None else []:
            if not any(
                a - SLACK <= low and high <= b + SLACK for a, b in self.possible or []
            ):
                raise ValueError(f"possible: excludes the band {low:g} to {high:g}")
        if self.edges_ci is None:
            return self
        if len(self.edges_ci) != len(self.bands):
            raise ValueError(
                f"edges_ci: {len(self.edges_ci)} pairs of intervals for"
                f" {len(self.bands)} bands"
            )
        for number, (band, pair) in enumerate(zip(self.bands, self.edges_ci)):
            for side, (edge, (low, high)) in enumerate(zip(band, pair)):
                if not low - SLACK <= edge <= high + SLACK:
                    raise ValueError(
                        f"edges_ci.{number}.{side}: [{low:g}, {high:g}] does not hold"
                        f" the edge {edge:g}"
                    )
        return self
