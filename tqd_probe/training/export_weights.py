"""Trained weights in the format of diffusers or ComfyUI, also from FSDP's shards."""

from __future__ import annotations

from pathlib import Path

import torch

from tqd_probe.models.base import VideoModel
from tqd_probe.models.load import load_model
from tqd_probe.training.model import make_trainable
from tqd_probe.training.parameters import load_parameters, trained_parameters
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.weight_metadata import add_metadata


def export_weights(
    settings: TrainRunSettings,
    model: VideoModel,
    folder: Path,
    weights: dict[str, torch.Tensor],
    metadata: dict[str, str],
    sharded: bool,
) -> None:
    """Write the trained weights: a LoRA file, or a complete pipeline.

    Args:
        settings: The run's settings.
        model: The model in training; its network holds the same weights.
        folder: Where to write; absent or empty.
        weights: Full (unsharded) tensors by parameter name.
        metadata: Where the weights come from, for the files' headers.
        sharded: The network's parameters are spread over processes (FSDP): the
            weights are then put into a second copy of the model, on the CPU.
    """
    if sharded:
        model = load_model(
            settings.ckpt,
            "cpu",
            "fp32",
            expert=settings.expert,
            pipeline=settings.pipeline,
        )
        make_trainable(model, settings)
        load_parameters(trained_parameters(model.network), weights)
    if not settings.full:
        model.save_lora(folder, metadata, settings.save_keys)
        return
    if settings.save_keys == "comfyui":
        model.save_network(folder, metadata)
        return
    model.save_full(folder, metadata)
    add_metadata(folder / model.network_name, metadata)
