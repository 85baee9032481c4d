"""Per-clip gradients of bare parameters, which no module hook can see.

A modulation table (`scale_shift_table` in Wan and LTX) is a parameter that the
forward pass adds to something per clip. While capturing, it is replaced by a tensor
subclass that follows every function of the parameter alone and, where it meets a
tensor that knows the clips, records the gradient before autograd sums over them.
This needs no graph walk, so it survives gradient checkpointing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tqd_probe.core.errors import GradientError

Record = Callable[[Tensor], None]
_SIGNS = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "rsub": (-1.0, 1.0)}
_NAMES = {
    **dict.fromkeys(["add", "__add__", "__radd__"], "add"),
    **dict.fromkeys(["sub", "__sub__"], "sub"),
    **dict.fromkeys(["rsub", "__rsub__"], "rsub"),
    **dict.fromkeys(["mul", "__mul__", "__rmul__", "multiply"], "mul"),
}
_CASTS = {"to", "type_as", "type", "float", "double", "half", "bfloat16", "contiguous"}
_SPREAD = {"expand", "repeat", "expand_as", "broadcast_to"}


def _pick(step: Callable[[Tensor], Any], index: int, value: Tensor) -> Tensor:
    """Return one of several results of a function."""
    return step(value)[index]


class _Meet(torch.autograd.Function):
    """Combine a parameter's value with a tensor per clip; record on the way back."""

    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, value: Tensor, other: Tensor, kind: str, sink: Any
    ) -> Tensor:
        ctx.kind, ctx.sink, ctx.shape = kind, sink, value.shape
        ctx.other_shape, ctx.other_type = other.shape, other.dtype
        if kind == "mul":
            ctx.save_for_backward(value, other)
            return value * other
        sign_value, sign_other = _SIGNS[kind]
        return sign_value * value + sign_other * other

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        if ctx.kind == "mul":
            value, other = ctx.saved_tensors
            ctx.sink(grad * other, ctx.shape)
            to_other = grad * value
        else:
            sign_value, sign_other = _SIGNS[ctx.kind]
            ctx.sink(sign_value * grad, ctx.shape)
            to_other = sign_other * grad
        to_other = to_other.sum_to_size(ctx.other_shape).to(ctx.other_type)
        return None, None, to_other, None, None


class BareParameter(torch.nn.Parameter):
    """A parameter, or a function of one, that records per-clip gradients.

    Attributes:
        base: The parameter's plain value.
        path: The functions that lead from `base` to this tensor, in order.
        record: Called with per-clip gradients of the parameter ``[B, *shape]``.
        clips: Number of clips in a batch, set before each pass.
        label: Name of the parameter.
    """

    base: Tensor
    path: tuple[Callable[[Tensor], Tensor], ...]
    record: Record
    clips: list[int]
    label: str

    @staticmethod
    def wrap(
        value: Tensor,
        base: Tensor,
        path: tuple[Callable[[Tensor], Tensor], ...],
        like: tuple[Record, list[int], str],
    ) -> BareParameter:
        """Make a tracked tensor.

        Args:
            value: Its value.
            base: The parameter's plain value.
            path: The functions that lead from `base` to `value`.
            like: Record, clips and name.

        Returns:
            The tracked tensor; it needs no gradient itself.
        """
        made = BareParameter(value.detach(), requires_grad=False)
        made.base, made.path = base, path
        made.record, made.clips, made.label = like
        return made

    def plain(self) -> Tensor:
        """Return the value without tracking.

        Returns:
            A tensor that shares memory with this one.
        """
        with torch._C.DisableTorchFunctionSubclass():
            return self.detach().as_subclass(torch.Tensor)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Follow functions of the parameter alone; record where clips come in."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = [a for a in tree_leaves((args, kwargs)) if isinstance(a, Tensor)]
        mine = [a for a in tensors if isinstance(a, BareParameter)]
        self = mine[0]
        if name == "__get__" or name.startswith("__set"):  # shape, dtype and so on
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if name in _CASTS:
            value = func(*(self.plain() if a is self else a for a in args), **kwargs)
            return self._follow(value, None)
        others = len(tensors) - 1
        if others == 1 and name in _NAMES and not kwargs:
            kind = _NAMES[name]
            if kind == "sub" and args[0] is not self:
                kind = "rsub"
            other = next(a for a in tensors if a is not self)
            return self._meet(other, kind)
        if others or not any(a is self for a in args):
            raise GradientError(
                f"parameter {self.label}: used by {name!r} together with other tensors,"
                " which per-clip capture does not know; leave it out with --params"
            )

        def step(value: Tensor) -> Any:
            return func(*(value if a is self else a for a in args), **kwargs)

        result = step(self.plain())
        if name in _SPREAD:
            return self._meet(torch.zeros_like(result), "add")
        if isinstance(result, (tuple, list)):
            return tuple(
                self._follow(part, partial(_pick, step, index))
                for index, part in enumerate(result)
            )
        return self._follow(result, step)

    def _follow(self, value: Any, step: Callable[[Tensor], Tensor] | None) -> Any:
        """Track what a function of the parameter alone returned."""
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        path = self.path if step is None else (*self.path, step)
        return self.wrap(value, self.base, path, (self.record, self.clips, self.label))

    def _meet(self, other: Tensor, kind: str) -> Tensor:
        """Combine with a tensor that knows the clips."""
        anchor = torch.zeros((), device=other.device, requires_grad=True)
        return _Meet.apply(anchor, self.plain(), other, kind, self._sink)

    def _sink(self, grad: Tensor, shape: torch.Size) -> None:
        """Reduce the gradient of the meeting to one per clip and hand it on."""
        clips = self.clips[0]
        lead = grad.ndim - len(shape)
        spread = lead > 0 or (len(shape) > 0 and shape[0] == 1)
        if grad.ndim == 0 or grad.shape[0] % clips or (clips > 1 and not spread):
            raise GradientError(
                f"parameter {self.label}: meets a tensor of shape {tuple(grad.shape)}"
                f" in which the {clips} clips are not in front; leave it out with"
                " --params"
            )
        wide = torch.promote_types(grad.dtype, torch.float32)
        rows = grad.to(wide).reshape(clips, -1, *grad.shape[1:])
        padded = (1,) * lead + tuple(shape)
        keep = [
            1 if want == 1 else have for want, have in zip(padded[1:], rows.shape[2:])
        ]
        rows = rows.sum(1).sum_to_size(clips, *keep) if keep else rows.sum(1)
        rows = rows.reshape(clips, *shape)
        if self.path:

            def walk(value: Tensor) -> Tensor:
                for step in self.path:
                    value = step(value)
                return value

            pull = torch.func.vjp(walk, self.base.to(wide))[1]
            rows = torch.func.vmap(pull)(rows)[0]
        self.record(rows)
