"""The configuration of a probe: one field per option, each with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tqd_probe.clips.degradations import Degradation, parse_degradations
from tqd_probe.core.errors import InputError
from tqd_probe.core.noise import shift_sigma, unshift_sigma
from tqd_probe.probing.option_parsing import read_levels, read_pool, read_range

DEGRADATIONS = "blur:3,noise:3,downscale:3,freeze:5"


class ProbeSettings(BaseModel):
    """What shapes a probe and its schedule."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    ckpt: str = Field(
        description="checkpoint: a diffusers pipeline directory, a hub id OWNER/NAME"
        " (cached; HF_HUB_OFFLINE=1 is respected), or 'tiny' (shipped)"
    )
    lora: str | None = Field(
        default=None,
        description="LoRA in diffusers' format, a .safetensors file or a folder with"
        " one; its parameters alone are probed",
    )
    fuse_lora: bool = Field(
        default=False,
        description="add the LoRA to the weights and probe these instead",
    )
    expert: Literal["high", "low", "both"] | None = Field(
        default=None,
        description="for Wan 2.2 A14B, the network of high or of low noise levels, each"
        " over its own range of sigma; both: one after the other, in OUT/high and"
        " OUT/low",
    )
    clips: str = Field(
        default="synthetic",
        description="golden clips: synthetic[:N], a folder of videos with .txt"
        " captions, or a manifest (.csv, .json, .jsonl)",
    )
    num_clips: int | None = Field(
        default=None,
        ge=4,
        le=1_000_000,
        description="clips to use (default: 24 synthetic, else all)",
    )
    draws: int = Field(
        default=2, ge=1, le=1000, description="noise draws per clip and level"
    )
    levels: str = Field(
        default="10",
        description="noise levels: how many, spread evenly over (0, 1) before the"
        " shift, or rising values of sigma such as 0.1,0.5,0.9",
    )
    degradations: str = Field(
        default=DEGRADATIONS,
        description="name:severity[,...]; names: blur noise compress downscale | freeze"
        " slow hold shuffle jitter | identity reverse; severities 1 to 5; or 'none', to"
        " probe only classes of the manifest",
    )
    match_severity: str | None = Field(
        default=None,
        description="degradation such as blur:3; the others take the severity whose"
        " distance from golden in the latents is nearest to its",
    )
    mq_min: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="least motion quality of a good clip: with --vq-min gives clips of"
        " a manifest without a class theirs",
    )
    vq_min: float | None = Field(
        default=None, ge=0, le=1, description="least visual quality of a good clip"
    )
    sketch: str = Field(
        default="auto",
        description="what is kept of a gradient: exact (all of it), or a random sketch"
        " of that many numbers; auto: exact up to 2 million probed parameters, else"
        " 49152",
    )
    exact_norms: bool = Field(
        default=False,
        description="with a sketch, form each layer's gradient in passing, so that"
        " norms are exact; costs about a third more time",
    )
    adaptive: bool = Field(
        default=False,
        description="look after 8 clips, after all, and after each further draw: levels"
        " that are clearly inside or outside every band stop",
    )
    params: str = Field(
        default="all", description="'all', or a regular expression of parameter names"
    )
    metric: Literal["raw", "adam"] = Field(
        default="raw",
        description="inner product of gradients: plain, or weighted as Adam steps, by"
        " one over the root of the second moments",
    )
    adam_state: Path | None = Field(
        default=None,
        description="safetensors file of Adam's second moments by parameter name"
        " (default: estimated from golden gradients)",
    )
    criterion: Literal["cosine", "mixture"] = Field(
        default="cosine",
        description="what a schedule rests on: bands by the cosine, or class weights of"
        " least squared gradient error (experimental)",
    )
    mixture_form: Literal["per-level", "joint"] = Field(
        default="per-level",
        description="golden gradient matched level by level, or summed over levels",
    )
    pool: str | None = Field(
        default=None,
        description="clips of each class in your data, for the mixture:"
        " golden=1000,visual_degraded=8000 (default: those probed)",
    )
    floor: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="least share of every class the mixture admits at a level",
    )
    cos_min: float = Field(
        default=0.9,
        gt=-1,
        lt=1,
        description="cosine that the lower confidence bound must reach",
    )
    norm_range: str = Field(
        default="0.5,2", description="range of the gradient norm ratio: low,high"
    )
    confidence: float = Field(
        default=0.95, ge=0.5, le=0.9999, description="confidence of all intervals"
    )
    family_wise: bool = Field(
        default=False,
        description="let --confidence hold for all levels together (Bonferroni)",
    )
    shift: float = Field(
        default=1.0,
        ge=1e-3,
        le=1e3,
        description="timestep shift by which counted levels are laid",
    )
    frames: int | None = Field(
        default=None, ge=1, le=100_000, description="frames per clip"
    )
    height: int | None = Field(
        default=None, ge=8, le=100_000, description="clip height in pixels"
    )
    width: int | None = Field(
        default=None, ge=8, le=100_000, description="clip width in pixels"
    )
    fps: float | None = Field(
        default=None, ge=0.01, le=10_000, description="frames per second"
    )
    dtype: Literal["fp32", "bf16"] = Field(
        default="fp32", description="number type of the network"
    )
    seed: int = Field(default=0, ge=0, description="seed of every random number")
    max_bad: int = Field(
        default=0,
        ge=0,
        description="clips that may fail to decode before the run stops",
    )

    @field_validator("sketch")
    @classmethod
    def _sketch(cls, text: str) -> str:
        number = text.isascii() and text.isdigit() and len(text) < 9
        if text not in ("auto", "exact") and not (number and int(text) > 0):
            raise ValueError(
                f"{text!r}: give auto, exact, or the numbers kept per gradient such as"
                " 49152"
            )
        return text

    @field_validator("levels")
    @classmethod
    def _levels(cls, text: str) -> str:
        read_levels(text, 1.0)
        return text

    @field_validator("degradations")
    @classmethod
    def _degradations(cls, text: str) -> str:
        if text.strip() == "none":
            return text
        try:
            parse_degradations(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text

    @field_validator("match_severity")
    @classmethod
    def _reference(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                count = len(parse_degradations(text))
            except InputError as error:
                raise ValueError(str(error)) from None
            if count != 1:
                raise ValueError(f"{count} degradations; give one such as blur:3")
        return text

    @field_validator("pool")
    @classmethod
    def _pool(cls, text: str | None) -> str | None:
        if text is not None:
            read_pool(text)
        return text

    @model_validator(mode="after")
    def _fitting(self) -> ProbeSettings:
        for name in ("pool", "floor", "mixture_form"):
            given = getattr(self, name) != type(self).model_fields[name].default
            if given and self.criterion != "mixture":
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} needs --criterion mixture")
        if self.adam_state is not None and self.metric != "adam":
            raise ValueError("--adam-state needs --metric adam")
        if (self.mq_min is None) != (self.vq_min is None):
            raise ValueError("--mq-min and --vq-min go together; give both")
        return self

    def parsed_degradations(self) -> tuple[Degradation, ...]:
        """Return the degradations in order, none for ``none``.

        Returns:
            The degradations.
        """
        none = self.degradations.strip() == "none"
        return () if none else parse_degradations(self.degradations)

    def least_quality(self) -> tuple[float, float] | None:
        """Return motion and visual quality of a good clip, None if not given.

        Returns:
            `mq_min` and `vq_min`.
        """
        if self.mq_min is None or self.vq_min is None:
            return None
        return self.mq_min, self.vq_min

    def level_confidence(self) -> float:
        """Return the confidence of each level's intervals.

        Returns:
            `confidence`, or with `family_wise` that share of the error per level.
        """
        if not self.family_wise:
            return self.confidence
        return 1 - (1 - self.confidence) / len(self.sigmas())

    @field_validator("norm_range")
    @classmethod
    def _norm_range(cls, text: str) -> str:
        read_range(text)
        return text

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


class RunSettings(ProbeSettings):
    """A probe and where it runs; these fields do not change the result."""

    out: Path | None = Field(
        default=None, description="run directory (default: runs/NAME-HASH); resumes"
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        description="clip versions per forward and backward pass (default: all"
        " versions of a clip, or as many as a trial pass says fit into memory;"
        " those of several draws where the network is small)",
    )
    device: str = Field(default="cpu", description="torch device, such as cuda:0")
    cache: Path | None = Field(
        default=None,
        description="folder of encoded clips (default: $TQD_PROBE_CACHE or the user's"
        " cache)",
    )
    plan: bool = Field(
        default=False,
        description="measure 3 levels with few clips, say what an interval of --width"
        " costs, write nothing else",
    )
    plan_width: float = Field(
        default=0.1,
        ge=1e-3,
        lt=2,
        description="wanted width of cosine intervals (--plan)",
    )
    self_check: bool = Field(
        default=False,
        description="first compare the engine with torch.func in float64 on two draws;"
        " no schedule where they disagree",
    )
    checkpointing: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="gradient checkpointing: activations are computed again in the"
        " backward pass; much less memory, about a third more time; auto turns it on"
        " when those of a pass would not fit the free memory",
    )
    compile: Literal["off", "on"] = Field(
        default="off",
        description="compile the network's blocks with torch.compile; the first pass"
        " takes up to a minute, and compares gradients with those of the network as it"
        " is written",
    )
    overwrite: bool = Field(
        default=False,
        description="replace a run of another configuration (gradients that still fit"
        " are kept)",
    )
