"""Gradients of all parameters by plain autograd, summed over the batch, one at a time.

What the per-clip gradients are compared with. Autograd forms the gradient of every
parameter as in training; each is handed on as soon as it is there and then dropped, so
that not all are held at once. Two kinds of parameters are no leaves of autograd:

- A quantised weight has no gradient in torch. That of the weight it stands for is
  ``sum g x^T`` over all rows of the batch, from the layer's inputs and the gradients of
  its outputs.
- A weight that is offloaded, or divided over processes (FSDP), is there only while its
  block runs. For that time a function of it that autograd follows stands in its place.
  Processes that share weights run the same batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from tqd_probe.gradients.products import wide
from tqd_probe.models.placement import computing_device, offload_of
from tqd_probe.models.quantisation import is_quantised

Losses = Callable[[], Tensor]
Take = Callable[[str, Tensor], object]


def plain_gradients(
    network: nn.Module, names: Collection[str], losses: Losses, take: Take
) -> Tensor:
    """Run a plain forward and backward pass.

    Args:
        network: The network.
        names: Parameters whose gradients are formed.
        losses: Runs the network and returns the clips' losses ``[clips]``.
        take: Called with the name and the gradient ``[*shape]`` of a parameter, summed
            over the clips; once for each layer where several share it.

    Returns:
        The losses, detached.
    """
    with _followed(network, names, take) as token, torch.enable_grad():
        values = losses()
        # the token lets networks without leaves be followed
        (values.sum() + 0 * token).backward()
    return values.detach()


@contextmanager
def _followed(
    network: nn.Module, names: Collection[str], take: Take
) -> Iterator[Tensor]:
    """Hand on the gradients of parameters meanwhile."""
    token = torch.zeros((), requires_grad=True, device=computing_device(network))
    known = {id(p): name for name, p in network.named_parameters()}
    units = [(unit, own) for unit in network.modules() if (own := _held_by(unit))]
    held = {id(module._parameters[key]) for _, own in units for module, key in own}
    flags = [(p, p.requires_grad) for p in network.parameters()]
    handles: list[Any] = []
    try:
        for parameter, _ in flags:
            name = known[id(parameter)]
            leaf = name in names and not (
                id(parameter) in held or is_quantised(parameter)
            )
            parameter.requires_grad_(leaf)
            if leaf:
                hook = partial(_hand_on, take, name)
                handles.append(parameter.register_post_accumulate_grad_hook(hook))
        for layer in network.modules():
            weight = layer._parameters.get("weight")
            if weight is None or not is_quantised(weight):
                continue
            if known[id(weight)] in names:
                note = partial(take, known[id(weight)])
                after = partial(_follow_layer, token, note)
                handles.append(layer.register_forward_hook(after, with_kwargs=True))
        for unit, own in units:
            named = [(m, key, known[id(m._parameters[key])]) for m, key in own]
            wanted = [each for each in named if each[2] in names]
            before = partial(_follow_values, wanted, token, take)
            handles.append(unit.register_forward_pre_hook(before))
            back = partial(_put_back, wanted)
            handles.append(unit.register_forward_hook(back, always_call=True))
        yield token
    finally:
        for handle in handles:
            handle.remove()
        for parameter, flag in flags:
            parameter.grad = None
            parameter.requires_grad_(flag)


def _hand_on(take: Take, name: str, parameter: Tensor) -> None:
    """Hook of a parameter whose gradient is there."""
    gradient, parameter.grad = parameter.grad, None
    assert gradient is not None
    take(name, gradient)


def _held_by(unit: nn.Module) -> list[tuple[nn.Module, str]]:
    """List weights (module, attribute) that are there only while a module runs."""
    offload = offload_of(unit)
    if offload is not None:
        return [(m, key) for m, key, home in offload.homes if not is_quantised(home)]
    if not isinstance(unit, FSDPModule):
        return []
    return [
        (module, key)
        for module in _own_modules(unit)
        for key, parameter in module._parameters.items()
        if parameter is not None
    ]


def _own_modules(unit: nn.Module) -> Iterator[nn.Module]:
    """List the modules of a unit of FSDP without those of units inside it."""
    yield unit
    for part in unit.children():
        if not isinstance(part, FSDPModule):
            yield from _own_modules(part)


Own = list[tuple[nn.Module, str, str]]  # module, attribute, parameter name


def _follow_values(
    own: Own, token: Tensor, take: Take, unit: nn.Module, inputs: Any
) -> None:
    """Pre-hook of a unit, called when its weights are there."""
    for module, key, name in own:
        value = module._parameters[key]
        assert value is not None
        followed = _Followed.apply(value.detach(), token, partial(take, name))
        module.__dict__[key] = followed  # found before the registered parameter


def _put_back(own: Own, unit: nn.Module, inputs: Any, output: Any) -> None:
    """Hook of a unit: its registered parameters are found again."""
    for module, key, _ in own:
        module.__dict__.pop(key, None)


def _follow_layer(
    token: Tensor,
    note: Callable[[Tensor], object],
    layer: nn.Module,
    inputs: tuple[Any, ...],
    named: dict[str, Any],
    output: Tensor,
) -> Tensor:
    """Forward hook of a quantised linear layer."""
    x = inputs[0] if inputs else next(iter(named.values()))
    found: Tensor = _FollowedLinear.apply(output, x.detach(), token, note)
    return found


class _Followed(torch.autograd.Function):
    """A value whose gradient is handed on."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, token: Tensor, note: Callable[[Tensor], object]
    ) -> Tensor:
        """Pass the value on; the token makes autograd follow it."""
        ctx.note = note
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Hand the gradient on."""
        ctx.note(grad)
        return None, None, None


class _FollowedLinear(torch.autograd.Function):
    """The output of a linear layer; the gradient of the weight is handed on."""

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        x: Tensor,
        token: Tensor,
        note: Callable[[Tensor], object],
    ) -> Tensor:
        """Pass the output on."""
        ctx.note = note
        ctx.save_for_backward(x)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Hand on ``sum g x^T``."""
        (x,) = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        ctx.note(rows.T.to(wide(rows.dtype)) @ x.flatten(0, -2).to(wide(rows.dtype)))
        return grad, None, None, None
