"""The configuration of a probe: one field per option, each with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.errors import InputError
from tqd_probe.noise import shift_sigma, unshift_sigma

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
        " slow hold shuffle jitter | identity reverse; severities 1 to 5",
    )
    sketch: Literal["exact"] = Field(
        default="exact", description="what is kept of a gradient: all of it"
    )
    params: str = Field(
        default="all", description="'all', or a regular expression of parameter names"
    )
    criterion: Literal["cosine"] = Field(
        default="cosine", description="what makes a level part of a band"
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

    @field_validator("levels")
    @classmethod
    def _levels(cls, text: str) -> str:
        read_levels(text, 1.0)
        return text

    @field_validator("degradations")
    @classmethod
    def _degradations(cls, text: str) -> str:
        try:
            parse_degradations(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text

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
    batch_size: int = Field(
        default=8, ge=1, description="clip versions per forward and backward pass"
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
        description="gradient checkpointing: less memory, a second forward pass; auto"
        " turns it on when activations would not fit the free memory",
    )
    overwrite: bool = Field(
        default=False,
        description="replace a run of another configuration (gradients that still fit"
        " are kept)",
    )


def read_levels(text: str, shift: float) -> np.ndarray:
    """Read the noise levels.

    Args:
        text: A count, or rising values of sigma separated by commas.
        shift: Shift applied to counted levels.

    Returns:
        Levels, rising ``[L]``.

    Raises:
        ValueError: If a value is not a number in (0, 1) or the values do not rise.
    """
    cure = "give a count such as 10, or rising values in (0, 1) such as 0.1,0.5,0.9"
    if text.strip().isascii() and text.strip().isdigit() and len(text) < 9:
        count = int(text)
        if not 1 <= count <= 1000:
            raise ValueError(f"{count} levels; {cure}")
        return shift_sigma((np.arange(count) + 0.5) / count, shift)
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ValueError(f"{text!r} is not a list of numbers; {cure}") from None
    if not ((values >= 1e-6) & (values <= 1 - 1e-6)).all():
        raise ValueError(f"{text!r} has a level outside (0, 1); {cure}")
    if (np.diff(values) <= 0).any():
        raise ValueError(f"{text!r} does not rise; {cure}")
    return values


def read_range(text: str) -> tuple[float, float]:
    """Read the range of norm ratios.

    Args:
        text: ``low,high``, both positive.

    Returns:
        Low and high.

    Raises:
        ValueError: If it is not two rising positive numbers.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r}: write low,high such as 0.5,2") from None
    if not 1e-6 <= low < high <= 1e6:
        raise ValueError(f"{text!r}: needs 1e-6 <= low < high <= 1e6, such as 0.5,2")
    return low, high
