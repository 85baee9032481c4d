"""Where the weights of a network are: on one device, on the host, or over processes.

Offloaded weights of blocks are kept on the host, and are on the device while their
block runs: one block at a time, in the forward pass and again when gradient
checkpointing computes the block anew. This is what diffusers' group offloading does for
inference. Its groups take every parameter along, a LoRA's too, whose gradient and
optimiser stay on the device; and they copy weights back that never change. Here
frozen weights alone are moved, one way.

Sharded weights are divided over the processes of a run (FSDP of version 2) and gathered
block by block.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tqd_probe.core.errors import InputError
from tqd_probe.models.quantisation import has_quantised_weights, is_quantised

Placement = Literal["whole", "offloaded", "sharded"]
ALIGNMENT = 64  # bytes: where torch's own tensors start in memory on a CPU


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """List the blocks of a network: the members of its module lists.

    Args:
        network: The network.

    Returns:
        Its blocks, in order.
    """
    lists = [part for part in network.children() if isinstance(part, nn.ModuleList)]
    return [block for part in lists for block in part]


def computing_device(network: nn.Module) -> torch.device:
    """Return the device on which a network runs.

    Args:
        network: The network; some of its weights may be kept on the host.

    Returns:
        The device of most layers outside of blocks.
    """
    return device_of(network.parameters())


def device_of(parameters: Iterable[torch.Tensor]) -> torch.device:
    """Return the device on which the network of some parameters runs.

    Args:
        parameters: Its parameters; some may be kept on the host.

    Returns:
        The first device that is no CPU, if there is one.
    """
    host = torch.device("cpu")
    devices = (parameter.device for parameter in parameters)
    return next((one for one in devices if one != host), host)


def align(module: nn.Module) -> nn.Module:
    """Move weights that start at odd places in memory to where torch puts its own.

    Tensors of a safetensors file lie where its header ends, and on some CPUs products
    round by how their numbers are aligned: the same weights behind two headers would
    give results that differ in their last bits.

    Args:
        module: A component where it runs, changed in place. On another device nothing
            is done: before it is brought there, its weights would be held twice.

    Returns:
        The component.
    """
    moved: dict[int, torch.Tensor] = {}  # tied weights stay tied
    for value in (*module.parameters(), *module.buffers()):
        own = value.data
        if type(own) is not torch.Tensor or own.device.type != "cpu":
            continue  # quantised, or on another device
        start = own.data_ptr()
        if start % ALIGNMENT:
            value.data = moved.setdefault(start, own.clone())
    return module


def place_network(
    network: nn.Module, device: torch.device, placement: Placement
) -> nn.Module:
    """Bring a network where it runs.

    Args:
        network: The network, on the host; nf4 weights are on the device already.
        device: The device of this process.
        placement: ``whole``, ``offloaded`` or ``sharded``; for the last one the
            processes are connected, and every one calls this.

    Returns:
        The network.

    Raises:
        InputError: If the network has no blocks, or quantised weights that stay whole.
    """
    if placement == "whole":
        return align(network.to(device))
    option = "--offload" if placement == "offloaded" else "--shard"
    blocks = blocks_of(network)
    if not blocks:
        raise InputError(
            f"{option}: {type(network).__name__} has no list of blocks; leave it out"
        )
    if placement == "offloaded":
        return _offloaded(network, blocks, device)
    if has_quantised_weights(network):
        raise InputError("--shard: quantised weights cannot be divided; leave out one")
    return _sharded(network, blocks, device)


def _sharded(
    network: nn.Module, blocks: list[nn.Module], device: torch.device
) -> nn.Module:
    """Divide frozen weights over all processes, block by block."""
    world = torch.distributed.get_world_size()
    mesh = init_device_mesh(device.type, (world,))
    network.requires_grad_(False)  # else every pass would sum gradients of weights
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    return network


def _offloaded(
    network: nn.Module, blocks: list[nn.Module], device: torch.device
) -> nn.Module:
    """Keep frozen weights of blocks on the host."""
    inside = {id(module) for block in blocks for module in block.modules()}
    for block in blocks:
        OffloadedBlock(block, device)
    for module in network.modules():
        for key, buffer in module._buffers.items():
            module._buffers[key] = None if buffer is None else buffer.to(device)
        if id(module) in inside:
            continue
        for key, parameter in module._parameters.items():
            if parameter is not None and parameter.device != device:
                moved = on_device(parameter, device)
                moved.requires_grad_(parameter.requires_grad)
                module._parameters[key] = moved
    return network


def gather_offloaded(network: nn.Module) -> nn.Module:
    """Bring all weights of an offloaded network to its device, for good.

    Args:
        network: The network; changed in place.

    Returns:
        The network.
    """
    for block in blocks_of(network):
        offload = offload_of(block)
        if offload is not None:
            offload.fetch()
            for hooks in (block._forward_pre_hooks, block._forward_hooks):
                for number, hook in list(hooks.items()):
                    if getattr(hook, "__self__", None) is offload:
                        del hooks[number]
    return network


def offload_of(block: nn.Module) -> OffloadedBlock | None:
    """Return what moves the weights of a block.

    Args:
        block: A block.

    Returns:
        None for blocks that are not offloaded.
    """
    owners = (getattr(h, "__self__", None) for h in block._forward_pre_hooks.values())
    return next((one for one in owners if isinstance(one, OffloadedBlock)), None)


class OffloadedBlock:
    """The frozen weights of a block, on the device while the block runs.

    While it runs, copies on the device stand in the place of the parameters. With
    gradient checkpointing a block's graph is made when it is computed anew; it holds
    the copies that it needs until the block's backward pass is over.

    Attributes:
        homes: Module, attribute and parameter on the host, for every weight.
    """

    def __init__(self, block: nn.Module, device: torch.device) -> None:
        """Keep the weights on the host from now on.

        Args:
            block: The block, on the host; a LoRA's parameters go to the device.
            device: Where it runs.
        """
        self.device = device
        self.homes: list[tuple[nn.Module, str, nn.Parameter]] = []
        for path, module in block.named_modules():
            for key, parameter in module._parameters.items():
                if parameter is None:
                    continue
                if ".lora_" in f".{path}":
                    parameter.data = parameter.data.to(device)
                    continue
                if device.type == "cuda" and not is_quantised(parameter):
                    parameter.data = parameter.data.pin_memory()
                self.homes.append((module, key, parameter))
        block.register_forward_pre_hook(self._before)
        # Also when checkpointing ends the second forward pass early.
        block.register_forward_hook(self._after, always_call=True)

    def _before(self, block: nn.Module, inputs: Any) -> None:
        """Pre-hook of the block."""
        self.fetch()

    def fetch(self) -> None:
        """Put copies on the device in the place of the weights."""
        for module, key, home in self.homes:
            module._parameters[key] = on_device(home, self.device)

    def _after(self, block: nn.Module, inputs: Any, output: Any) -> None:
        """Hook of the block: put the weights back."""
        for module, key, home in self.homes:
            module._parameters[key] = home


def on_device(home: nn.Parameter, device: torch.device) -> nn.Parameter:
    """Return a frozen copy of a parameter on a device.

    Args:
        home: The parameter.
        device: The device.

    Returns:
        Another parameter; the memory is the same where the device is.
    """
    copied: Any = home.detach().to(device, non_blocking=True)
    return nn.Parameter(copied, requires_grad=False)
