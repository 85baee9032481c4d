"""The model as the training sees it: a loss per clip, and named parameters.

A model wrapped for several processes keeps its own network underneath; the loss is
computed inside one module, so that what wraps it sees one forward pass, and the
trainer need not know what a family's network is called with.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from tqd_probe.core.errors import InputError
from tqd_probe.models.base import VideoModel, per_clip_loss
from tqd_probe.training.batches import Batch
from tqd_probe.training.settings import TrainRunSettings

Named = dict[str, torch.nn.Parameter]


class LossModule(torch.nn.Module):
    """Runs the network on a batch and returns the loss of every clip."""

    def __init__(self, model: VideoModel) -> None:
        """Hold the model's network as a part.

        Args:
            model: The model; its network is shared, not copied.
        """
        super().__init__()
        self.model = model
        self.network = model.network

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return losses ``[B]``, float32.

        Args:
            batch: Samples on the network's device.

        Returns:
            Mean squared error over the elements of each clip's target.
        """
        return per_clip_loss(self.model, batch.encoded, batch.eps, batch.sigma)


def make_trainable(model: VideoModel, settings: TrainRunSettings) -> None:
    """Choose what is trained: a fresh LoRA, or all weights.

    Trained weights are float32; with bf16 the computation alone is short.

    Args:
        model: The model; its network is changed in place.
        settings: Full or LoRA, rank, alpha, targets.
    """
    if settings.full:
        model.network.requires_grad_(True)
    else:
        alpha = settings.lora_alpha or float(settings.lora_rank)
        model.add_lora(settings.lora_rank, alpha, settings.lora_targets, settings.seed)
    model.network.train()


def trained_parameters(network: torch.nn.Module) -> Named:
    """Return the trained parameters by name, in the network's order.

    Args:
        network: The model's network (not what wraps it).

    Returns:
        Parameters that need a gradient.
    """
    return {n: p for n, p in network.named_parameters() if p.requires_grad}


def forget_gathered(loss: torch.nn.Module) -> None:
    """Free the whole weights that FSDP may keep after a pass without a gradient.

    It keeps those of the outermost module for the backward pass to come. Where none
    comes and the shards are overwritten, the next pass would use the old weights.

    Args:
        loss: The loss module, wrapped or not.
    """
    for module in loss.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU, gathered where it is sharded over processes.

    Args:
        tensor: Any tensor; every process must call this for a sharded one.

    Returns:
        A copy that later steps do not change.
    """
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach().cpu().clone()


def like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Bring a whole tensor to the device and the shards of another.

    Args:
        value: A whole tensor on the CPU.
        target: What it should be like.

    Returns:
        The value, placed as the target is.
    """
    value = value.to(target.device, target.dtype)
    if isinstance(target, DTensor):
        return distribute_tensor(value, target.device_mesh, target.placements)
    return value


def optimiser_state(
    optimiser: torch.optim.Optimizer, parameters: Named
) -> dict[str, torch.Tensor]:
    """Return the optimiser's state by parameter name, whole and on the CPU.

    Args:
        optimiser: The optimiser (not what wraps it).
        parameters: The trained parameters.

    Returns:
        Tensors by ``key|name``.
    """
    found = {}
    for name, parameter in parameters.items():
        for key, value in optimiser.state[parameter].items():
            found[f"{key}|{name}"] = whole(torch.as_tensor(value))
    return found


@torch.no_grad()
def restore_optimiser(
    optimiser: torch.optim.Optimizer, parameters: Named, state: dict[str, torch.Tensor]
) -> None:
    """Give the optimiser a saved state.

    Args:
        optimiser: The optimiser, before its first step.
        parameters: The trained parameters.
        state: What `optimiser_state` returned.
    """
    for joined, value in state.items():
        key, name = joined.split("|", 1)
        parameter = parameters[name]
        placed = value.clone() if key == "step" else like(value, parameter)
        optimiser.state[parameter][key] = placed


@torch.no_grad()
def restore_parameters(
    parameters: dict[str, Any], values: dict[str, torch.Tensor]
) -> None:
    """Overwrite parameters with saved values.

    Args:
        parameters: Parameters or averages by name.
        values: Whole tensors by the same names.

    Raises:
        InputError: If the names differ.
    """
    if set(parameters) != set(values):
        odd = sorted(set(parameters) ^ set(values))[0]
        raise InputError(
            f"checkpoint: parameter {odd} is not in both the model and the checkpoint;"
            " resume with the same model and library versions"
        )
    for name, target in parameters.items():
        target.copy_(like(values[name], target))
