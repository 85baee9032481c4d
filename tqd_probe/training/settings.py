"""The configuration of a training run: one field per option, each with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tqd_probe.core.clip_classes import DEGRADED_CLASSES
from tqd_probe.core.shared_settings import (
    CheckpointSettings,
    ClipShapeSettings,
    HardwareSettings,
    OptimisationSettings,
    PrecisionSettings,
    QuarantineSettings,
    RunDirectorySettings,
    SeedSettings,
    Settings,
)
from tqd_probe.sampling.names import BY_SCHEDULE, BaseName, SamplerName


class TrainedCheckpointSettings(CheckpointSettings):
    """The model, and which of its weights are trained."""

    expert: Literal["high", "low"] | None = Field(
        default=None,
        description="for a model with two networks (Wan 2.2 A14B), the one to train:"
        " that of high or of low noise levels (default: the only one)",
    )
    full: bool = Field(default=False, description="train all weights, not a LoRA")
    init_lora: str | None = Field(
        default=None,
        description="LoRA of any trainer to train on, a .safetensors file or a folder"
        " with one; layers, rank and alpha are its own (default: a new one)",
    )
    lora_rank: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="rank of the LoRA (default: 16, or that of --init-lora)",
    )
    lora_alpha: float | None = Field(
        default=None,
        gt=0,
        description="alpha of a LoRA that is new, or whose file states none (default:"
        " its rank)",
    )
    lora_targets: str | None = Field(
        default=None,
        description="modules that get a LoRA: names or a regular expression (default:"
        " the family's attention projections)",
    )

    @model_validator(mode="after")
    def _starts_from_one_lora(self) -> TrainedCheckpointSettings:
        if self.init_lora is None:
            self.lora_rank = self.lora_rank or 16
            return self
        if self.full:
            raise ValueError(
                "--full: trains all weights, and --init-lora a LoRA; leave out one"
            )
        if self.lora_targets is not None:
            raise ValueError(
                "--lora-targets: a LoRA that is trained on keeps its layers; leave it"
                " out, or --init-lora"
            )
        return self

    @model_validator(mode="after")
    def _quantised_weights_stay(self) -> TrainedCheckpointSettings:
        quantise = getattr(self, "quantise", "none")  # of `PrecisionSettings`
        if self.full and quantise != "none":
            raise ValueError(
                f"--full: weights in {quantise} cannot be trained; leave out --full to"
                " train a LoRA on them, or --quantise"
            )
        return self


class TrainingClipSettings(Settings):
    """What is trained on."""

    heading: ClassVar[str] = "clips"

    clips: str = Field(
        description="training clips: a manifest (.csv, .json, .jsonl) with classes or"
        " mq and vq, a folder of videos, or synthetic:N"
    )
    clips_seed: int | None = Field(
        default=None, ge=0, description="seed of synthetic clips (default: --seed)"
    )
    drop_class: str | None = Field(
        default=None,
        description="NAME[,NAME]: leave out clips of these classes, such as"
        " both_degraded of which a schedule measured nothing (default: none)",
    )
    text_dropout: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of samples with an empty caption, 0 to 1, for guidance",
    )

    @field_validator("drop_class")
    @classmethod
    def _known_classes(cls, text: str | None) -> str | None:
        for name in (text or "").split(",") if text is not None else []:
            if name.strip() not in DEGRADED_CLASSES:
                raise ValueError(
                    f"{name.strip()!r}: not a class that can be left out; choose from"
                    f" {', '.join(DEGRADED_CLASSES)}"
                )
        return text

    def dropped_classes(self) -> list[str]:
        """Return the classes whose clips are left out.

        Returns:
            Names of classes.
        """
        return [name.strip() for name in (self.drop_class or "").split(",") if name]


class LevelDensitySettings(Settings):
    """How noise levels are drawn, whatever the sampler."""

    heading: ClassVar[str] = "noise levels"

    base: BaseName = Field(
        default="uniform",
        description="density of levels before the clip is known; measured: the"
        " schedule's, in proportion to golden gradients, for bands and mixture",
    )
    logit_mean: float = Field(
        default=0.0,
        ge=-10,
        le=10,
        description="mean of logit(u), for --base logit_normal",
    )
    logit_std: float = Field(
        default=1.0,
        gt=0.01,
        le=10,
        description="standard deviation of logit(u), for --base logit_normal",
    )
    shift: float | None = Field(
        default=None,
        ge=1e-3,
        le=1e3,
        description="timestep shift of the density; 1: none (default: the schedule's,"
        " else 1)",
    )
    space: Literal["u", "sigma"] = Field(
        default="u",
        description="variable that densities are stated in: u, what the family draws in"
        " training, before the shift (CogVideoX: its timestep over 1000); or sigma"
        " itself, without a shift",
    )
    kappa_base: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="concentration of the Beta at equal scores, for the sampler beta"
        " (default: 2 for a uniform base, 4 for a logit-normal one)",
    )
    kappa_max: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="concentration of the Beta at |mq - vq| = 1, for the sampler beta"
        " (default: from the schedule's fits; without a schedule 8)",
    )
    order: Literal["clip", "level"] | None = Field(
        default=None,
        description="draw the clip first, or the level first so that the base density"
        " is kept (default: clip; mixture: level)",
    )
    allow_model_mismatch: bool = Field(
        default=False, description="take a schedule measured on other weights"
    )


class SamplerSettings(Settings):
    """The sampler, and the schedule that it follows."""

    heading: ClassVar[str] = "noise levels"

    sampler: SamplerName = Field(
        default="uniform",
        description="distribution of sigma per clip: uniform, logit_normal and"
        " measured (the schedule's density) whatever the clip, beta by the clip's"
        " scores, bands and mixture by a schedule"
        " (default: bands with --schedule, else uniform)",
    )
    schedule: Path | None = Field(
        default=None,
        description="band schedule of gradsim, bands.json (default: none)",
    )
    reprobe_every: int = Field(
        default=0,
        ge=0,
        description="steps between new measurements of the schedule on the model as it"
        " then is; 0: never",
    )


class HeldOutClipSettings(Settings):
    """Clips kept from training."""

    heading: ClassVar[str] = "validation"

    hold_out: int = Field(
        default=0,
        ge=0,
        description="clips of each class kept from training for validation",
    )


class TrainSettings(
    TrainedCheckpointSettings,
    TrainingClipSettings,
    ClipShapeSettings,
    SamplerSettings,
    LevelDensitySettings,
    OptimisationSettings,
    HeldOutClipSettings,
    SeedSettings,
    PrecisionSettings,
):
    """What decides the trained weights; a run with other values is not resumed."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainSettings:
        if self.schedule is not None and "sampler" not in self.model_fields_set:
            self.sampler = "bands"
        measured = "measured" in (self.sampler, self.base)
        if self.schedule is None and (self.sampler in BY_SCHEDULE or measured):
            what = "--sampler" if self.sampler in BY_SCHEDULE else "--base"
            name = self.sampler if self.sampler in BY_SCHEDULE else self.base
            raise ValueError(
                f"{what} {name} needs --schedule bands.json, made by tqd_probe.gradsim"
            )
        if self.base == "measured" and self.sampler not in BY_SCHEDULE:
            raise ValueError(
                f"--base measured: --sampler {self.sampler} has a density of its own;"
                " choose --sampler measured, bands or mixture"
            )
        if measured and self.shift is not None:
            raise ValueError(
                "--shift: the measured density is of sigma and takes no shift; leave it"
                " out"
            )
        if self.sampler == "mixture" and self.order == "clip":
            raise ValueError(
                "--sampler mixture draws the level first; leave out --order"
            )
        if self.reprobe_every and self.schedule is None:
            raise ValueError("--reprobe-every needs a --schedule to measure again")
        if self.reprobe_every and self.quantise != "none":
            raise ValueError(
                "--reprobe-every: writes the network with its LoRA merged, which"
                f" weights in {self.quantise} cannot hold; leave it out, or --quantise"
            )
        return self


class TrainingHardwareSettings(HardwareSettings):
    """How a training is computed; the weights do not depend on it."""

    micro_batch: int = Field(
        default=1,
        ge=1,
        description="clips per forward pass and process, the rest of the batch is"
        " accumulated; more is faster for small clips and takes more memory",
    )
    workers: int = Field(
        default=0, ge=0, le=256, description="processes that load clips; 0: none"
    )

    @model_validator(mode="after")
    def _trained_weights_stay(self) -> TrainingHardwareSettings:
        if self.offload and getattr(self, "full", False):
            raise ValueError(
                "--offload: moves frozen weights, and --full trains them all; leave out"
                " one"
            )
        return self


class MemorySettings(Settings):
    """Memory of encoded clips."""

    heading: ClassVar[str] = "hardware"

    memory_gb: float = Field(
        default=2.0, ge=0, description="encoded clips kept in memory, GB per process"
    )


class ValidationSettings(Settings):
    """What is measured during training."""

    heading: ClassVar[str] = "validation"

    validation: str | None = Field(
        default=None,
        description="validation clips, as --clips (default: those of --hold-out)",
    )
    validate_every: int = Field(
        default=0, ge=0, description="steps between validations; 0: never"
    )
    validate_clips: int = Field(
        default=32, ge=2, description="validation clips of each class at most"
    )
    agreement_every: int = Field(
        default=0,
        ge=0,
        description="steps between cosines of class gradients with the golden one, on"
        " validation clips; 0: never",
    )


class SampleVideoSettings(Settings):
    """Videos generated during training."""

    heading: ClassVar[str] = "sample videos"

    sample_every: int = Field(
        default=0, ge=0, description="steps between sample videos; 0: never"
    )
    prompts: Path | None = Field(
        default=None,
        description="text file, one prompt a line (default: captions of four clips)",
    )
    sample_steps: int = Field(
        default=20, ge=1, description="scheduler steps of samples"
    )
    guidance: float = Field(default=5.0, ge=1, description="guidance scale of samples")


class TrainingRunDirectorySettings(RunDirectorySettings):
    """Where a training is kept, and what is logged."""

    resume: bool = Field(
        default=False,
        description="insist that --out holds this training; not needed to resume it,"
        " which the same command does by itself",
    )
    save_every: int = Field(default=500, ge=1, description="steps between checkpoints")
    keep: int = Field(default=3, ge=1, description="checkpoints kept, the newest")
    log_every: int = Field(
        default=10, ge=1, description="steps between losses by level and class"
    )
    report_to: Literal["tensorboard", "trackio", "wandb", "none"] = Field(
        default="tensorboard",
        description="where curves are also sent, besides metrics.jsonl",
    )
    save_keys: Literal["diffusers", "comfyui"] = Field(
        default="diffusers",
        description="names of the saved weights: for diffusers, or for ComfyUI (a LoRA"
        " with alpha as tensors; with --full one file of the network)",
    )
    record_draws: bool = Field(
        default=False,
        description="write every sample (clip, sigma, noise digest, loss) to"
        " draws.jsonl",
    )


class TrainRunSettings(
    TrainSettings,
    QuarantineSettings,
    ValidationSettings,
    SampleVideoSettings,
    TrainingHardwareSettings,
    MemorySettings,
    TrainingRunDirectorySettings,
):
    """A training and how it is run; these fields do not change the weights."""

    @model_validator(mode="after")
    def _has_validation_clips(self) -> TrainRunSettings:
        for option in ("validate_every", "agreement_every"):
            wanted = getattr(self, option)
            if wanted and self.validation is None and not self.hold_out:
                raise ValueError(
                    f"--{option.replace('_', '-')} needs clips: give --validation"
                    " CLIPS, or --hold-out N"
                )
        return self
