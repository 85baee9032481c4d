"""Reference per-clip gradients by `torch.func`, in float64.

Slow, and independent of the capture engine: `functional_call`, `grad` and `vmap` use no
hooks. Used by tests and by `--self-check`. A second,
independent check is `directional_derivatives`: every clip's gradient dotted with a
given direction, by forward mode (`torch.func.jvp`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from tqd_probe.gradients.layout import Layout
from tqd_probe.models.placement import gather_offloaded
from tqd_probe.models.quantisation import dequantise

Loss = Callable[[nn.Module, Any], Tensor]


class _KeepDouble(TorchFunctionMode):
    """Ignore casts of float64 tensors to float32 (norms in Wan are cast so)."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        cast = getattr(func, "__name__", "") == "float" and len(args) == 1
        if cast and args[0].dtype == torch.float64:
            return args[0]
        return func(*args, **kwargs)


@contextmanager
def double_precision() -> Iterator[None]:
    """Keep a float64 network in float64 throughout: its own casts down are ignored.

    Yields:
        Nothing.
    """
    with _KeepDouble():
        yield


def reference_gradients(
    network: nn.Module, layout: Layout, loss: Loss, batch: Any
) -> Tensor:
    """Return the gradient of every clip's loss, by `torch.func` in float64.

    Args:
        network: The network; a float64 copy of it is used.
        layout: Which parameters, in which order.
        loss: Computes the losses ``[B]`` of a batch under a network; it is called with
            batches of one clip.
        batch: Tensors with the clips in front, in any nesting `vmap` takes.

    Returns:
        Gradients ``[B, layout.size]``, float64.
    """
    double, chosen, fixed = _split(network, layout)

    def one(parameters: dict[str, Tensor], clip: Any) -> Tensor:
        alone = torch.utils._pytree.tree_map(lambda t: t[None], clip)
        return _call(double, {**parameters, **fixed}, loss, alone)

    gradient = torch.func.grad(one)
    with double_precision(), sdpa_kernel(SDPBackend.MATH):
        try:
            found = torch.func.vmap(gradient, (None, 0))(chosen, batch)
        except RuntimeError:  # vmap has no shapes that depend on data
            take, count = torch.utils._pytree, len(_leaves(batch)[0])
            clips = [take.tree_map(lambda t, i=i: t[i], batch) for i in range(count)]
            rows = [gradient(chosen, clip) for clip in clips]
            found = {name: torch.stack([row[name] for row in rows]) for name in chosen}
    return torch.cat([found[name].flatten(1) for name in layout.parameters], dim=1)


def directional_derivatives(
    network: nn.Module, layout: Layout, loss: Loss, batch: Any, direction: Tensor
) -> Tensor:
    """Return every clip's gradient dotted with a direction, by forward mode.

    Args:
        network: The network; a float64 copy of it is used.
        layout: Which parameters, in which order.
        loss: Computes the losses ``[B]`` of a batch under a network.
        batch: Tensors with the clips in front.
        direction: Flat direction ``[layout.size]``.

    Returns:
        Products ``[B]``, float64.
    """
    double, chosen, fixed = _split(network, layout)
    tangents = {
        name: direction[start:stop].reshape(layout.shapes[name]).to(chosen[name])
        for name, (start, stop) in layout.parameters.items()
    }

    def losses(parameters: dict[str, Tensor]) -> Tensor:
        return _call(double, {**parameters, **fixed}, loss, batch, total=False)

    with double_precision(), sdpa_kernel(SDPBackend.MATH):
        return torch.func.jvp(losses, (chosen,), (tangents,))[1]


def finite_difference(
    network: nn.Module,
    layout: Layout,
    loss: Loss,
    batch: Any,
    direction: Tensor,
    step: float = 1e-4,
) -> Tensor:
    """Return every clip's change of loss along a direction, by central difference.

    Args:
        network: The network; a float64 copy of it is used.
        layout: Which parameters, in which order.
        loss: Computes the losses ``[B]`` of a batch under a network.
        batch: Tensors with the clips in front.
        direction: Flat direction ``[layout.size]``.
        step: Length of the step to each side, in the parameters' unit.

    Returns:
        ``(L(p + h d) - L(p - h d)) / 2 h`` per unit of the direction's length times
        that length ``[B]``, float64: the product of gradient and direction.
    """
    double, chosen, fixed = _split(network, layout)
    length = direction.double().norm()

    def losses(sign: float) -> Tensor:
        moved = {
            name: value
            + sign * step * (direction[start:stop] / length).reshape(value.shape)
            for (name, (start, stop)), value in zip(
                layout.parameters.items(), chosen.values()
            )
        }
        return _call(double, {**moved, **fixed}, loss, batch, total=False)

    with torch.no_grad(), double_precision(), sdpa_kernel(SDPBackend.MATH):
        return (losses(1.0) - losses(-1.0)) / (2 * step) * length


def _split(
    network: nn.Module, layout: Layout
) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """Copy a network to float64; return it, the chosen values and all others."""
    whole = gather_offloaded(copy.deepcopy(network))
    double = dequantise(whole).double().eval()
    undo: Any = getattr(double, "disable_gradient_checkpointing", None)
    if undo is not None:
        undo()  # torch.func does not support checkpointing
    values = {name: p.detach() for name, p in double.named_parameters()}
    chosen = {name: values[name] for name in layout.parameters}
    fixed = {name: v for name, v in values.items() if name not in chosen}
    return double, chosen, {**fixed, **dict(double.named_buffers())}


def _leaves(batch: Any) -> list[Tensor]:
    """List the tensors of a nesting."""
    return list(torch.utils._pytree.tree_leaves(batch))


class _Bound(nn.Module):
    """A network with its loss as one module, for `functional_call`."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.network, batch)


def _call(
    network: nn.Module,
    values: dict[str, Tensor],
    loss: Loss,
    batch: Any,
    total: bool = True,
) -> Tensor:
    """Compute a loss with other weights."""
    named = {f"network.{name}": value for name, value in values.items()}
    losses = torch.func.functional_call(_Bound(network, loss), named, (batch,))
    return losses.sum() if total else losses
