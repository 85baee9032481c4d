"""The configuration of a training run: one field per option, each with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Recipe(BaseModel):
    """How weights are trained, whatever the sampler and the clips."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    ckpt: str = Field(
        description="checkpoint: a diffusers pipeline directory, or 'tiny' (shipped)"
    )
    base: Literal["uniform", "logit_normal"] = Field(
        default="uniform", description="density of levels before the clip is known"
    )
    logit_mean: float = Field(
        default=0.0, ge=-10, le=10, description="mean of logit(u), logit-normal base"
    )
    logit_std: float = Field(
        default=1.0, gt=0.01, le=10, description="its standard deviation"
    )
    shift: float | None = Field(
        default=None,
        ge=1e-3,
        le=1e3,
        description="timestep shift (default: the schedule's, else 1)",
    )
    space: Literal["u", "sigma"] = Field(
        default="u",
        description="variable that densities are stated in: u, the shift follows; or"
        " sigma, no shift is applied",
    )
    kappa_base: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="beta: concentration at equal scores (default: 2 for a uniform"
        " base, 4 for a logit-normal one)",
    )
    kappa_max: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="beta: concentration at |mq - vq| = 1 (default: from the"
        " schedule's fits)",
    )
    order: Literal["clip", "level"] | None = Field(
        default=None,
        description="draw the clip first, or the level first so that the base density"
        " is kept (default: clip; mixture: level)",
    )
    allow_model_mismatch: bool = Field(
        default=False, description="take a schedule measured on other weights"
    )
    expert: Literal["high", "low"] | None = Field(
        default=None, description="which expert of a model with two to train"
    )
    full: bool = Field(default=False, description="train all weights, not a LoRA")
    lora_rank: int = Field(default=16, ge=1, le=4096, description="rank of the LoRA")
    lora_alpha: float | None = Field(
        default=None, gt=0, description="alpha of the LoRA (default: its rank)"
    )
    lora_targets: str | None = Field(
        default=None,
        description="modules that get a LoRA: names or a regular expression (default:"
        " the family's attention projections)",
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        le=100_000,
        description="clips per optimiser step, over all processes",
    )
    lr: float = Field(default=1e-4, gt=0, le=10, description="peak learning rate")
    lr_schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="learning rate after the warm-up"
    )
    warmup: int = Field(default=50, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(default=0.01, ge=0, le=10, description="of AdamW")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="of AdamW")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="of AdamW")
    clip_norm: float = Field(
        default=1.0, ge=0, description="gradient norm limit; 0: none"
    )
    ema_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="exponential moving average of the weights, such as 0.999; what is"
        " saved and validated is then the average; 0: none",
    )
    text_dropout: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of samples with an empty caption, for guidance",
    )
    frames: int | None = Field(default=None, ge=1, description="frames per clip")
    height: int | None = Field(default=None, ge=8, description="clip height in pixels")
    width: int | None = Field(default=None, ge=8, description="clip width in pixels")
    fps: float | None = Field(default=None, gt=0, description="frames per second")
    clips_seed: int | None = Field(
        default=None, ge=0, description="seed of synthetic clips (default: --seed)"
    )
    dtype: Literal["fp32", "bf16"] = Field(
        default="fp32",
        description="number type of the computation; trained weights stay in float32",
    )
    seed: int = Field(default=0, ge=0, description="seed of every random number")


class TrainSettings(Recipe):
    """What shapes the trained weights; a change of these is no resume."""

    clips: str = Field(
        description="training clips: a manifest (.csv, .json, .jsonl) with classes or"
        " mq and vq, a folder of videos, or synthetic:N"
    )
    sampler: Literal["uniform", "logit_normal", "beta", "bands", "mixture"] = Field(
        default="uniform", description="distribution of sigma per clip"
    )
    schedule: Path | None = Field(
        default=None, description="band schedule of tqd_probe.gradsim (bands.json)"
    )
    steps: int = Field(ge=1, description="optimiser steps")
    reprobe_every: int = Field(
        default=0,
        ge=0,
        description="steps between new measurements of the schedule on the model as it"
        " then is; 0: never",
    )
    hold_out: int = Field(
        default=0,
        ge=0,
        description="clips of each class kept from training for validation",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrainSettings:
        if self.sampler in ("bands", "mixture") and self.schedule is None:
            raise ValueError(
                f"--sampler {self.sampler} needs --schedule bands.json, made by"
                " tqd_probe.gradsim"
            )
        if self.sampler == "mixture" and self.order == "clip":
            raise ValueError(
                "--sampler mixture draws the level first; leave out --order"
            )
        if self.reprobe_every and self.schedule is None:
            raise ValueError("--reprobe-every needs a --schedule to measure again")
        if self.warmup and self.warmup >= self.steps:
            raise ValueError(
                f"--warmup {self.warmup}: not below --steps {self.steps}; lower it"
            )
        return self


class TrainRunSettings(TrainSettings):
    """A training and how it is run; these fields do not change the weights."""

    out: Path = Field(description="run directory")
    resume: bool = Field(
        default=False, description="go on from the newest valid checkpoint in --out"
    )
    micro_batch: int = Field(
        default=1,
        ge=1,
        description="clips per forward pass and process, the rest of the batch is"
        " accumulated; more is faster for small clips and takes more memory",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="recompute activations: less memory, more time"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="several GPUs: by accelerate launch"
    )
    workers: int = Field(
        default=0, ge=0, le=256, description="processes that load clips; 0: none"
    )
    memory_gb: float = Field(
        default=2.0, ge=0, description="encoded clips kept in memory, GB per process"
    )
    cache: Path | None = Field(
        default=None,
        description="folder of encoded clips (default: $TQD_PROBE_CACHE or the user's"
        " cache)",
    )
    max_bad: int = Field(
        default=0, ge=0, description="clips that may go to quarantine before it stops"
    )
    save_every: int = Field(default=500, ge=1, description="steps between checkpoints")
    keep: int = Field(default=3, ge=1, description="checkpoints kept, the newest")
    validation: str | None = Field(
        default=None, description="validation clips, as --clips"
    )
    validate_every: int = Field(
        default=0, ge=0, description="steps between validations; 0: never"
    )
    validate_clips: int = Field(
        default=32, ge=2, description="validation clips of each class at most"
    )
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
    agreement_every: int = Field(
        default=0,
        ge=0,
        description="steps between cosines of class gradients with the golden one, on"
        " validation clips; 0: never",
    )
    log_every: int = Field(
        default=10, ge=1, description="steps between losses by level and class"
    )
    report_to: Literal["tensorboard", "trackio", "wandb", "none"] = Field(
        default="tensorboard", description="where curves go, beside metrics.jsonl"
    )
    record_draws: bool = Field(
        default=False,
        description="write every sample (clip, sigma, noise digest, loss) to"
        " draws.jsonl",
    )

    @model_validator(mode="after")
    def _validates(self) -> TrainRunSettings:
        wanted = self.validate_every or self.agreement_every
        if wanted and self.validation is None and not self.hold_out:
            raise ValueError(
                "--validate-every needs clips: give --validation CLIPS, or --hold-out N"
            )
        return self
