"""Trained weights in diffusers' format, from one process or from shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from tqd_probe.models.base import VideoModel
from tqd_probe.models.load import load_model
from tqd_probe.training.parameters import (
    make_trainable,
    restore_parameters,
    trained_parameters,
)
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.weight_metadata import stamp


def weights_exporter(
    settings: TrainRunSettings,
    model: VideoModel,
    describe: Callable[[], dict[str, str]],
    sharded: bool,
) -> Callable[[Path, dict[str, torch.Tensor]], None]:
    """Return what writes the trained weights in diffusers' format.

    Args:
        settings: The run's settings.
        model: The model in training.
        describe: Gives the metadata of the present step.
        sharded: The network's parameters are spread over processes (FSDP): the
            weights are then put into a second copy of the model, on the CPU.

    Returns:
        A function of the folder and of whole tensors.
    """

    def export(folder: Path, weights: dict[str, torch.Tensor]) -> None:
        metadata, holder = describe(), model
        if sharded:
            holder = load_model(settings.ckpt, "cpu", "fp32", expert=settings.expert)
            make_trainable(holder, settings)
            restore_parameters(trained_parameters(holder.network), weights)
        if not settings.full:
            holder.save_lora(folder, metadata)
            return
        holder.save_full(folder, metadata)
        stamp(folder / holder.network_name, metadata)

    return export
