"""The options of a probe that shape its result, a class for each concern."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tqd_probe.clips.degradations import Degradation, parse_degradations
from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.core.errors import InputError
from tqd_probe.core.shared_settings import CheckpointSettings, Settings
from tqd_probe.probing.option_parsing import read_levels, read_pool, read_range

# Visual faults, low motion, and a still picture beside it (`Degradation.extreme`).
DEGRADATIONS = "blur:3,noise:3,slow:4,freeze:5"


class ProbedCheckpointSettings(CheckpointSettings):
    """The model, and which of its parameters are probed."""

    lora: str | None = Field(
        default=None,
        description="LoRA of any trainer, a .safetensors file or a folder with one; its"
        " parameters alone are probed (default: none)",
    )
    lora_alpha: float | None = Field(
        default=None,
        gt=0,
        description="alpha of a LoRA that is new, or whose file states none (default:"
        " its rank)",
    )
    fuse_lora: bool = Field(
        default=False,
        description="add the LoRA to the weights and probe these instead",
    )
    params: str = Field(
        default="all",
        description="parameters probed: 'all', or a regular expression of their names",
    )


class ProbedClipSettings(Settings):
    """Golden and imbalanced clips."""

    heading: ClassVar[str] = "clips"

    clips: str = Field(
        default="synthetic",
        description="golden clips: synthetic[:N], a folder of videos with .txt"
        " captions, or a manifest (.csv, .json, .jsonl)",
    )
    num_clips: int | None = Field(
        default=None,
        ge=4,
        le=1_000_000,
        description="clips used, of each class at most (default: 24 synthetic, else"
        " all)",
    )
    least_clips: int = Field(
        default=LEAST_CLIPS,
        ge=4,
        description="golden clips without which nothing is measured; fewer than"
        f" {LEAST_CLIPS} give no intervals and no bands: for trials",
    )
    mq_min: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="least motion quality of a good clip, 0 to 1: with --vq-min it"
        " gives clips of a manifest without a class theirs (default: none)",
    )
    vq_min: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="least visual quality of a good clip, 0 to 1 (default: none)",
    )

    @model_validator(mode="after")
    def _enough_clips(self) -> ProbedClipSettings:
        if self.num_clips is not None and self.num_clips < self.least_clips:
            raise ValueError(
                f"--num-clips {self.num_clips}: at least {self.least_clips} golden"
                " clips are needed to tell signal from noise; for a trial without bands"
                f" lower --least-clips"
            )
        return self

    @model_validator(mode="after")
    def _both_thresholds(self) -> ProbedClipSettings:
        if (self.mq_min is None) != (self.vq_min is None):
            raise ValueError("--mq-min and --vq-min go together; give both")
        return self

    def least_quality(self) -> tuple[float, float] | None:
        """Return motion and visual quality of a good clip, None if not given.

        Returns:
            `mq_min` and `vq_min`.
        """
        if self.mq_min is None or self.vq_min is None:
            return None
        return self.mq_min, self.vq_min


class DegradedCopySettings(Settings):
    """Imbalanced clips made from the golden ones."""

    heading: ClassVar[str] = "degraded copies"

    degradations: str = Field(
        default=DEGRADATIONS,
        description="NAME:SEVERITY[,...], names and severities 1 to 5 as listed below,"
        " several joined by +; or 'none', to probe only the classes of a manifest",
    )
    match_severity: str | None = Field(
        default=None,
        description="a degradation such as blur:3; the others take the severity whose"
        " distance from golden in the latents is nearest to its (default: severities"
        " as given)",
    )

    @field_validator("degradations")
    @classmethod
    def _known_degradations(cls, text: str) -> str:
        if text.strip() != "none":
            _parse(text)
        return text

    @field_validator("match_severity")
    @classmethod
    def _one_degradation(cls, text: str | None) -> str | None:
        if text is not None:
            count = len(_parse(text))
            if count != 1:
                raise ValueError(f"{count} degradations; give one such as blur:3")
        return text

    def parsed_degradations(self) -> tuple[Degradation, ...]:
        """Return the degradations in order, none for ``none``.

        Returns:
            The degradations.
        """
        none = self.degradations.strip() == "none"
        return () if none else parse_degradations(self.degradations)


def _parse(text: str) -> tuple[Degradation, ...]:
    """Parse degradations for a validator, which must raise ValueError."""
    try:
        return parse_degradations(text)
    except InputError as error:
        raise ValueError(str(error)) from None


class MeasurementSettings(Settings):
    """Noise levels, draws, and what is kept of a gradient."""

    heading: ClassVar[str] = "what is measured"

    levels: str = Field(
        default="10",
        description="noise levels: how many, spread evenly over (0, 1) before the"
        " shift, or rising values of sigma such as 0.1,0.5,0.9",
    )
    shift: float = Field(
        default=1.0,
        ge=1e-3,
        le=1e3,
        description="timestep shift of levels given as a count; 1: none",
    )
    draws: int = Field(
        default=2, ge=1, le=1000, description="noise draws per clip and level"
    )
    metric: Literal["adam", "raw", "fisher"] = Field(
        default="adam",
        description="inner product of gradients: each entry divided by the root of its"
        " second moment, as Adam's steps are; plain; or divided by the second moment"
        " (inverse diagonal empirical Fisher)",
    )
    adam_state: Path | None = Field(
        default=None,
        description="safetensors file of Adam's second moments by parameter name, for"
        " the metric (default: estimated from golden gradients)",
    )
    sketch: str = Field(
        default="auto",
        description="what is kept of a gradient: exact (all of it), or a random sketch"
        " of that many numbers; auto: exact up to 2 million probed parameters, else"
        " 49152",
    )
    exact_norms: bool = Field(
        default=False,
        description="with a sketch, form each layer's gradient during the pass, so that"
        " norms are exact; costs about a third more time",
    )
    adaptive: bool = Field(
        default=False,
        description="stop levels that are clearly inside or outside every band:"
        " analysed after 8 clips, after all, and after each further draw",
    )

    @field_validator("sketch")
    @classmethod
    def _known_sketch(cls, text: str) -> str:
        number = text.isascii() and text.isdigit() and len(text) < 9
        if text not in ("auto", "exact") and not (number and int(text) > 0):
            raise ValueError(
                f"{text!r}: give auto, exact, or the numbers kept per gradient such as"
                " 49152"
            )
        return text

    @field_validator("levels")
    @classmethod
    def _readable_levels(cls, text: str) -> str:
        read_levels(text, 1.0)
        return text

    @model_validator(mode="after")
    def _moments_of_a_metric(self) -> MeasurementSettings:
        if self.adam_state is not None and self.metric == "raw":
            raise ValueError("--adam-state needs --metric adam or fisher")
        return self


class BandCriterionSettings(Settings):
    """Where a class may be used."""

    heading: ClassVar[str] = "bands"

    criterion: Literal["cosine", "mixture"] = Field(
        default="cosine",
        description="what a schedule rests on: bands by the cosine, or class weights of"
        " least squared gradient error (experimental)",
    )
    cos_min: float = Field(
        default=0.9,
        gt=-1,
        lt=1,
        description="cosine with golden gradients from which on a class may be used",
    )
    delta: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="how far below --cos-min the lower confidence bound may lie where"
        " the cosine itself reaches it; 0: not at all, which takes more clips",
    )
    norm_range: str = Field(
        default="0.5,2",
        description="LOW,HIGH: ratio of gradient norms, degraded to golden, where a"
        " class may be used",
    )
    confidence: float = Field(
        default=0.95,
        ge=0.5,
        le=0.9999,
        description="confidence of all intervals, 0.5 to 0.9999",
    )
    family_wise: bool = Field(
        default=False,
        description="let --confidence hold for all levels together (Bonferroni)",
    )

    @field_validator("norm_range")
    @classmethod
    def _readable_range(cls, text: str) -> str:
        read_range(text)
        return text


class MixtureCriterionSettings(BandCriterionSettings):
    """How the mixture weighs classes."""

    heading: ClassVar[str] = "mixture (--criterion mixture)"

    mixture_form: Literal["per-level", "joint"] = Field(
        default="per-level",
        description="golden gradient matched level by level, or summed over levels",
    )
    pool: str | None = Field(
        default=None,
        description="clips of each class in your data, such as"
        " golden=1000,visual_degraded=8000 (default: those probed)",
    )
    floor: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="least share, 0 to 1, of every class the mixture admits at a level",
    )

    @field_validator("pool")
    @classmethod
    def _readable_pool(cls, text: str | None) -> str | None:
        if text is not None:
            read_pool(text)
        return text

    @model_validator(mode="after")
    def _mixture_alone(self) -> MixtureCriterionSettings:
        for name in ("pool", "floor", "mixture_form"):
            given = getattr(self, name) != type(self).model_fields[name].default
            if given and self.criterion != "mixture":
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} needs --criterion mixture")
        return self
