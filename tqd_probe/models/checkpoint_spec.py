"""`CheckpointSpec`: which checkpoint to load, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tqd_probe.models.placement import Placement


@dataclass(frozen=True)
class CheckpointSpec:
    """Which checkpoint to load, and how.

    Attributes:
        path: Pipeline directory.
        weights: Files of the network's weights, where the pipeline's are not read.
        source: The checkpoint as the user named it.
        index: Content of its `model_index.json`.
        device: Device of the network.
        dtype: Dtype of the network; modules that the model keeps in float32 stay so.
        vae_dtype: Dtype of the autoencoder.
        lora: Weights of a LoRA to load into the network.
        lora_alpha: Alpha of a LoRA whose file states none.
        fuse_lora: Merge the LoRA into the weights instead of keeping it.
        expert: ``high`` or ``low``, for checkpoints with two networks.
        quantise: ``none``, or how linear layers are quantised: ``int8``, ``fp8``,
            ``nf4``.
        placement: Where the network's weights are (`placement.place_network`).
    """

    path: Path
    source: str
    index: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype = torch.float32
    weights: tuple[Path, ...] = ()
    lora: Path | None = None
    lora_alpha: float | None = None
    fuse_lora: bool = False
    expert: str | None = None
    quantise: str = "none"
    placement: Placement = "whole"
