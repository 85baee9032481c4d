"""What to do after a probe: how each class may be used, and what to run next."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from tqd_probe.core.json_models import StrictModel
from tqd_probe.schedules.curves_schema import Band, Number, rising_and_disjoint


class ExpectedShare(StrictModel):
    """Share of golden clips' gain that a class is expected to bring in its bands."""

    share: Number = Field(description="1 is as good as golden, below 0 harmful.")
    low: Number = Field(description="Lower bound, for one class and level.")
    high: Number = Field(description="Upper bound.")


class ClassDecision(StrictModel):
    """How clips of a class may be used."""

    status: Literal["measured", "unmeasured"] = Field(description="Was it measured?")
    use: list[Band] = Field(description="Intervals of sigma to train it at.")
    test: list[Band] = Field(description="Not decided: compare by short trainings.")
    avoid: list[Band] = Field(description="Measured to differ from golden.")
    expected: ExpectedShare | None = Field(
        default=None, description="Of the levels in use; null without, or uncalibrated."
    )
    reason: str | None = Field(default=None, description="Why, where it needs saying.")

    @field_validator("use", "test", "avoid")
    @classmethod
    def _disjoint(cls, bands: list[Band]) -> list[Band]:
        rising_and_disjoint(bands)
        return bands

    @model_validator(mode="after")
    def _unmeasured_is_unknown(self) -> ClassDecision:
        for key in ("use", "test", "avoid", "expected"):
            if self.status == "unmeasured" and getattr(self, key):
                raise ValueError(f"{key}: of a class that is unmeasured")
        return self


class NextStep(StrictModel):
    """A command to run next."""

    purpose: str = Field(description="What it tells.")
    command: str = Field(description="The command; words in capitals are yours.")
    clip_gradients: int = Field(ge=0, description="Its work, in clip-gradients.")


class Decision(StrictModel):
    """What a probe says to do."""

    classes: dict[str, ClassDecision] = Field(description="By class.")
    calibration: str | None = Field(
        default=None, description="What expected shares were measured on; null: none."
    )
    next: list[NextStep] = Field(description="Commands to run next.")
    warnings: list[str] = Field(default_factory=list, description="To be aware of.")
