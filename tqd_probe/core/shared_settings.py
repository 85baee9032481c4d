"""Options that several commands share: declared once, inherited by their settings.

Each class is one concern. `heading` names it in `--help`, so that two classes of one
heading (options that shape results, options that do not) stand under one title.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tqd_probe.core.file_names import expand_paths


class HomePaths(BaseModel):
    """Base of options and settings: paths may begin with ``~``."""

    @field_validator("*")
    @classmethod
    def _with_home(cls, value: Any) -> Any:
        """Expand the home directory: a shell leaves ``--out=~/x`` as it is."""
        return expand_paths(value)


class Settings(HomePaths):
    """Base of all settings: unknown fields and NaN are refused.

    Attributes:
        heading: Title of the class's own fields in `--help`.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    heading: ClassVar[str] = "options"


class CheckpointSettings(Settings):
    """The model."""

    heading: ClassVar[str] = "checkpoint"

    ckpt: str = Field(
        description="a diffusers pipeline directory, a hub id OWNER/NAME (cached;"
        " HF_HUB_OFFLINE=1 is respected), or 'tiny' (shipped); or, with --pipeline, a"
        " .safetensors file of the network's weights"
    )
    pipeline: str | None = Field(
        default=None,
        description="diffusers pipeline that lends configuration, text encoder and"
        " autoencoder to a file of weights (default: none)",
    )
    expert: Literal["high", "low", "both"] | None = Field(
        default=None,
        description="for a model with two networks (Wan 2.2 A14B), that of high or of"
        " low noise levels; each has its own range of sigma (default: the only one)",
    )


class ClipShapeSettings(Settings):
    """The shape of clips as the model reads them."""

    heading: ClassVar[str] = "clip shape"

    frames: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="frames per clip (default: a schedule's where one is followed, else"
        " the checkpoint's)",
    )
    height: int | None = Field(
        default=None,
        ge=8,
        le=100_000,
        description="height in pixels (default: as --frames)",
    )
    width: int | None = Field(
        default=None,
        ge=8,
        le=100_000,
        description="width in pixels (default: as --frames)",
    )
    fps: float | None = Field(
        default=None,
        ge=0.01,
        le=10_000,
        description="frames per second (default: as --frames)",
    )


class OptimisationSettings(Settings):
    """How weights are updated."""

    heading: ClassVar[str] = "optimisation"

    steps: int = Field(ge=1, description="optimiser steps")
    batch_size: int = Field(
        default=8,
        ge=1,
        le=100_000,
        description="clips per optimiser step, over all processes",
    )
    optimizer: Literal["adamw", "adamw8bit", "adafactor", "prodigy", "muon"] = Field(
        default="adamw",
        description="AdamW; with moments in 8 bits (torchao); Adafactor, with sums of"
        " rows and columns for them; Prodigy, which finds its step size (prodigyopt);"
        " or Muon for matrices and AdamW for the rest",
    )
    lr: float = Field(
        default=1e-4,
        gt=0,
        le=10,
        description="peak learning rate; adafactor: a share of a weight's size;"
        " prodigy: a factor of the step size it finds (default: 1e-4; prodigy: 1)",
    )
    lr_schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="learning rate after the warm-up"
    )
    warmup: int = Field(
        default=50,
        ge=0,
        description="steps of linear warm-up (default: 50, or half of --steps where"
        " these are 50 or fewer)",
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        le=10,
        description="weight decay: share of a weight subtracted per step, times --lr",
    )
    beta1: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="decay of the mean of gradients (not adafactor)",
    )
    beta2: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="decay of the mean of squares (not adafactor)",
    )
    clip_norm: float = Field(
        default=1.0, ge=0, description="largest norm of the gradient; 0: no limit"
    )
    ema_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay per step of an exponential moving average of the weights,"
        " such as 0.999; the average is then what is saved and validated; 0: none",
    )

    @model_validator(mode="after")
    def _of_the_optimizer(self) -> OptimisationSettings:
        if self.optimizer == "prodigy" and "lr" not in self.model_fields_set:
            self.lr = 1.0
        for name in ("beta1", "beta2") if self.optimizer == "adafactor" else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"--{name}: adafactor has no such mean; leave it out")
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> OptimisationSettings:
        if not self.warmup or self.warmup < self.steps:
            return self
        if "warmup" in self.model_fields_set:
            raise ValueError(
                f"--warmup {self.warmup}: not below --steps {self.steps}; lower it"
            )
        self.warmup = self.steps // 2
        return self


class PrecisionSettings(Settings):
    """How numbers are rounded; results depend on it, unlike on `HardwareSettings`."""

    heading: ClassVar[str] = "hardware"

    dtype: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="number type of the network's computation; sums, and trained"
        " weights, stay in float32; auto: fp32 on a CPU, bf16 on a GPU that has it,"
        " except for weights stored in float16, which bf16 would round, and for small"
        " ones stored in float32",
    )
    vae_dtype: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="number type of the autoencoder when clips are encoded; auto: fp32,"
        " but on a GPU bf16 as --dtype for families that publish their pipeline with"
        " the autoencoder in bf16 (CogVideoX, LTX); Wan and HunyuanVideo publish it in"
        " fp32 or float16, and bf16 adds rounding that all clips share",
    )
    tf32: Literal["on", "off"] = Field(
        default="off",
        description="round factors of float32 products and convolutions on a GPU to"
        " TF32; off: numbers agree between devices. On makes what is float32 faster: a"
        " float32 network, and the autoencoder (--vae-dtype fp32) about three times",
    )
    exact_resume: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="on: deterministic kernels alone, so that a resumed run ends with"
        " the same bytes; off: the fastest ones (cuDNN's attention), equal up to"
        " rounding; auto: on for a CPU, where it costs nothing, off for a GPU, where"
        " deterministic attention makes a pass a third to a half longer",
    )
    quantise: Literal["none", "int8", "fp8", "nf4"] = Field(
        default="none",
        description="hold the weights of the network's linear layers in 8 or 4 bits,"
        " frozen; they compute in --dtype; int8 and fp8 by torchao, nf4 by bitsandbytes"
        " on a GPU (pip install 'tqd_probe[quant]')",
    )


class DeviceSettings(Settings):
    """Where a network runs."""

    heading: ClassVar[str] = "hardware"

    device: str = Field(
        default="auto",
        description="auto (a GPU if there is one, else the CPU), cpu, cuda, or one GPU"
        " such as cuda:0; several GPUs: by accelerate launch",
    )

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
            raise ValueError(
                "not available; use 'auto', 'cpu', 'cuda', or one GPU such as 'cuda:0'"
            )
        return name


class HardwareSettings(DeviceSettings):
    """Where a network runs, and with how much memory; results do not change."""

    heading: ClassVar[str] = "hardware"

    checkpointing: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="gradient checkpointing: activations are computed again in the"
        " backward pass, for much less memory and about a third more time; auto: on"
        " where those of a pass would not fit into free memory",
    )
    offload: bool = Field(
        default=False,
        description="keep the weights of blocks in the host's memory, and bring a"
        " block's to the GPU while it runs; with gradient checkpointing",
    )
    cache: Path | None = Field(
        default=None,
        description="folder of encoded clips (default: $TQD_PROBE_CACHE or the user's"
        " cache)",
    )

    @model_validator(mode="after")
    def _offload_recomputes(self) -> HardwareSettings:
        if self.offload and self.checkpointing == "off":
            raise ValueError(
                "--offload: without gradient checkpointing all weights would stay on"
                " the GPU until the backward pass; leave out --checkpointing off"
            )
        if self.offload:
            self.checkpointing = "on"
        return self


class QuarantineSettings(Settings):
    """How many clips may be unreadable."""

    heading: ClassVar[str] = "clips"

    max_bad: int = Field(
        default=0,
        ge=0,
        description="clips that may fail to decode before the run stops; they are left"
        " out and listed with their reasons",
    )


class RunDirectorySettings(Settings):
    """Where a run is kept."""

    heading: ClassVar[str] = "run directory"

    out: Path = Field(
        description="folder of all that is written; the same command resumes"
    )


class SeedSettings(Settings):
    """Randomness."""

    heading: ClassVar[str] = "randomness"

    seed: int = Field(default=0, ge=0, description="seed of every random number")
