"""How a checkpoint is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class CheckpointSpec:
    """How a checkpoint is opened.

    Attributes:
        path: Pipeline directory.
        source: The checkpoint as it was given.
        index: Content of its `model_index.json`.
        device: Where the network runs.
        dtype: Type of the network; what the model keeps in float32 stays so.
        lora: Weights of a LoRA to load into the network.
        fuse_lora: Add the LoRA to the weights and keep none.
        expert: Which of several networks, where the family has them.
    """

    path: Path
    source: str
    index: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    lora: Path | None = None
    fuse_lora: bool = False
    expert: str | None = None
