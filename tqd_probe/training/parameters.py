"""Trained parameters and optimiser state by name; gathered from shards, and back.

Checkpoints hold full tensors on the CPU, so that a run saved by one number of
processes can be loaded by another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from tqd_probe.core.errors import InputError

PARTS_OF_8BIT = ("codes", "scale", "qmap")  # of torchao's moments
# What Prodigy estimates for a group.
ADAPTED = {"d", "d_max", "d_numerator", "d_denom", "d_hat", "k"}
GROUP = "group:"
NamedParameters = dict[str, torch.nn.Parameter]


def trained_parameters(network: torch.nn.Module) -> NamedParameters:
    """Return the trained parameters by name, in the network's order.

    Args:
        network: The model's network (not what wraps it).

    Returns:
        Parameters that need a gradient.
    """
    return {n: p for n, p in network.named_parameters() if p.requires_grad}


def free_gathered_weights(loss: torch.nn.Module) -> None:
    """Free the full weights that FSDP may keep after a pass without a gradient.

    FSDP keeps those of the outermost module for the backward pass. If there is none and
    the shards are then overwritten, the next forward pass would use the old weights.

    Args:
        loss: The loss module, wrapped or not.
    """
    for module in loss.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def gather_to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU, gathered where it is sharded over processes.

    Args:
        tensor: Any tensor; every process must call this for a sharded one.

    Returns:
        A copy that later steps do not change.
    """
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach().cpu().clone()


def gather_named(
    tensors: Mapping[str, torch.Tensor], keep: bool
) -> dict[str, torch.Tensor]:
    """Gather tensors by name on the CPU, one after the other.

    Args:
        tensors: Tensors; every process must call this for sharded ones.
        keep: Whether this process needs them. Full copies of weights and optimiser
            state in every process of a machine would be as many times its memory.

    Returns:
        The copies by name; empty where they are not kept.
    """
    found = {}
    for name, tensor in tensors.items():
        if keep:
            found[name] = gather_to_cpu(tensor)
        elif isinstance(tensor, DTensor):
            tensor.full_tensor()  # takes part
    return found


def place_like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Place a full tensor on the device of another, and shard it as that one is.

    Args:
        value: A full tensor on the CPU.
        target: A tensor with the device, type and shards wanted.

    Returns:
        The value, placed as the target is.
    """
    value = value.to(target.device, target.dtype)
    if isinstance(target, DTensor):
        return distribute_tensor(value, target.device_mesh, target.placements)
    return value


def optimiser_state(
    optimiser: torch.optim.Optimizer, parameters: NamedParameters, keep: bool = True
) -> dict[str, torch.Tensor]:
    """Return the optimiser's state by parameter name: full tensors on the CPU.

    Args:
        optimiser: The optimiser (not what wraps it).
        parameters: The trained parameters.
        keep: Whether this process needs it (`gather_named`).

    Returns:
        Tensors by ``key|name``: of parameters; the parts of those in 8 bits by
        ``key.part|name``; numbers of a group (Prodigy's) by ``key|group:NUMBER``.
    """
    state: dict[str, torch.Tensor] = {}
    for name, parameter in parameters.items():
        for key, value in optimiser.state[parameter].items():
            parts = PARTS_OF_8BIT if hasattr(value, "codes") else ()
            for part in parts:
                state[f"{key}.{part}|{name}"] = getattr(value, part)
            if not parts:
                state[f"{key}|{name}"] = torch.as_tensor(value)
    for number, group in enumerate(optimiser.param_groups):
        for key in sorted(ADAPTED & group.keys()):
            value = torch.tensor(group[key], dtype=torch.float64)
            state[f"{key}|{GROUP}{number}"] = value
    return gather_named(state, keep)


@torch.no_grad()
def load_optimiser_state(
    optimiser: torch.optim.Optimizer,
    parameters: NamedParameters,
    state: dict[str, torch.Tensor],
) -> None:
    """Give the optimiser a saved state.

    Args:
        optimiser: The optimiser, before its first step.
        parameters: The trained parameters.
        state: What `optimiser_state` returned.
    """
    in_8bit: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    fused = bool(optimiser.defaults.get("fused"))
    for joined, value in state.items():
        key, name = joined.split("|", 1)
        if name.startswith(GROUP):
            group = optimiser.param_groups[int(name.removeprefix(GROUP))]
            group[key] = int(value) if key == "k" else float(value)
            continue
        parameter = parameters[name]
        if "." in key:
            key, part = key.split(".")
            placed = value.to(parameter.device)
            in_8bit.setdefault((key, name), {})[part] = placed
        elif key == "step":
            placed = value.to(parameter.device) if fused else value
            optimiser.state[parameter][key] = placed.clone()
        else:
            optimiser.state[parameter][key] = place_like(value, parameter)
    for (key, name), parts in in_8bit.items():
        from torchao.optim.subclass_8bit import OptimState8bit

        signed = key == "exp_avg"
        optimiser.state[parameters[name]][key] = OptimState8bit(**parts, signed=signed)


@torch.no_grad()
def load_parameters(
    parameters: dict[str, Any], values: dict[str, torch.Tensor]
) -> None:
    """Overwrite parameters with saved values.

    Args:
        parameters: Parameters or averages by name.
        values: Full tensors by the same names.

    Raises:
        InputError: If the names differ.
    """
    if set(parameters) != set(values):
        name = sorted(set(parameters) ^ set(values))[0]
        raise InputError(
            f"checkpoint: parameter {name} is not in both the model and the checkpoint;"
            " resume with the same model and library versions"
        )
    for name, target in parameters.items():
        target.copy_(place_like(values[name], target))
