"""Per-clip gradients of parameters outside of layers, such as modulation tables.

The table of a Wan or LTX block (`scale_shift_table`) is a parameter that the forward
pass combines with something per clip. Autograd sums its gradient over the clips where
the two meet. For a pass, the parameter is replaced by a tensor that follows every
function of the parameter alone (slices, casts, a tanh) and, where it meets a tensor
that has the clips in front, puts a copy per clip in its place. From there on everything
is ordinary autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from tqd_probe.core.errors import GradientError

Step = Callable[[Tensor], Any]
# Functions that combine their arguments element by element, broadcasting them.
_SUMS = {"add", "__add__", "__radd__", "sub", "__sub__", "rsub", "__rsub__"}
_FACTORS = {"mul", "__mul__", "__rmul__", "multiply", "div", "__truediv__"}
_OTHERS = {"true_divide", "addcmul", "lerp", "where", "maximum", "minimum"}
_ELEMENTWISE = _SUMS | _FACTORS | _OTHERS
# Of these, another tensor gives only a type or a place.
_CASTS = {"to", "type_as", "type", "float", "double", "half", "bfloat16", "contiguous"}
_SPREAD = {"expand", "repeat", "expand_as", "broadcast_to"}
NESTED = (list, tuple, dict)  # arguments that may hold tensors


class SharedParameter(torch.nn.Parameter):
    """A parameter, or a function of one, that becomes one per clip where it must.

    Attributes:
        per_clip: The parameter for each clip ``[B, *shape]``, from its leaf.
        path: The functions that lead from the parameter to this tensor, in order.
        label: Name of the parameter.
        broadcast: Of every parameter that met others, whether it did so as it is,
            with one row in front: then one row per clip could stand in its place.
    """

    per_clip: Tensor
    path: tuple[Step, ...]
    label: str
    broadcast: dict[str, bool]

    @staticmethod
    def wrap(
        value: Tensor,
        per_clip: Tensor,
        path: tuple[Step, ...],
        label: str,
        broadcast: dict[str, bool],
    ) -> SharedParameter:
        """Make a tensor that follows the functions of a parameter.

        Args:
            value: Its value.
            per_clip: The parameter for each clip ``[B, *shape]``.
            path: The functions that lead from the parameter to `value`.
            label: Name of the parameter.
            broadcast: Where to note how the parameter met others.

        Returns:
            The tensor; it needs no gradient itself.
        """
        made = SharedParameter(value.detach(), requires_grad=False)
        made.per_clip, made.path = per_clip, path
        made.label, made.broadcast = label, broadcast
        return made

    def plain(self) -> Tensor:
        """Return the value alone.

        Returns:
            A tensor that shares memory with this one.
        """
        with torch._C.DisableTorchFunctionSubclass():
            return self.detach().as_subclass(torch.Tensor)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Follow a function of the parameter alone; meet other tensors."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__") or name.startswith("is_"):
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        tensors = _tensors((*args, *kwargs.values()))
        shared = [a for a in tensors if isinstance(a, SharedParameter)]
        self, others = shared[0], [a for a in tensors if a is not shared[0]]
        call = partial(_call, func, args, kwargs)
        if name in _CASTS and (others or not any(a is self for a in args)):
            plain = {id(a): a.plain() for a in shared}
            if (
                args
                and args[0] is not self
                and not isinstance(args[0], SharedParameter)
            ):
                return call(plain)  # another tensor is cast to this one's type
            kind, device = others[0].dtype, others[0].device
            return args[0]._follow(
                args[0].plain().to(device, kind), lambda v: v.to(device, kind)
            )
        if name in ("linear", "matmul", "__matmul__") and others:
            return self._product(name, *args, **kwargs)
        if others:
            if name not in _ELEMENTWISE:
                raise GradientError(
                    f"parameter {self.label}: used by {name!r} together with other"
                    " tensors, which per-clip capture does not know; leave it out with"
                    " --params"
                )
            ndim = max(a.ndim for a in tensors)
            rows = max(len(a) if a.ndim == ndim else 1 for a in others)
            met = {id(a): a.spread(ndim, rows) for a in shared}
            return call(met)

        def step(value: Tensor) -> Any:
            return call({id(self): value})

        result = step(self.plain())
        if isinstance(result, (tuple, list)):
            return tuple(
                self._follow(part, partial(_pick, step, index))
                for index, part in enumerate(result)
            )
        if name in _SPREAD:
            fits = self.ndim == 0 or self.shape[0] == 1 or result.ndim > self.ndim
            if fits and result.shape[0] != 1:
                return self._repeated(result)
        return self._follow(result, step)

    def _follow(self, value: Any, step: Step) -> Any:
        """Track what a function of the parameter alone returned."""
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        path = (*self.path, step)
        return self.wrap(value, self.per_clip, path, self.label, self.broadcast)

    def _walk(self, value: Tensor) -> Tensor:
        """Apply the functions of the path."""
        for step in self.path:
            value = step(value)
        return value

    def spread(self, ndim: int, rows: int) -> Tensor:
        """Return the tensor for each clip, as it meets others with clips in front.

        Args:
            ndim: Dimensions of what it meets.
            rows: Rows in front of what it meets: a multiple of the clips.

        Returns:
            ``[rows, ...]`` with `ndim` dimensions.

        Raises:
            GradientError: If the clips are not in front.
        """
        clips, found = len(self.per_clip), self.per_clip
        as_it_is = not self.path and found.ndim == ndim + 1 and found.shape[1] == 1
        known = self.broadcast.get(self.label, True)
        self.broadcast[self.label] = known and as_it_is and rows == clips
        if self.path:
            found = torch.func.vmap(self._walk)(found)
        own = found.shape[1:]
        padded = (1,) * (ndim - len(own)) + tuple(own)
        if not padded or rows % clips or (padded[0] != 1 and clips > 1):
            raise GradientError(
                f"parameter {self.label}: meets a tensor with {rows} rows in which the"
                f" {clips} clips are not in front; leave it out with --params"
            )
        found = (
            found.reshape(clips, *padded)
            if padded[0] != 1
            else found.reshape(clips, *padded[1:])
        )
        if padded[0] != 1:  # one clip: its rows are its own
            return found[0]
        if rows > clips:
            found = found.repeat_interleave(rows // clips, 0)
        return found

    @staticmethod
    def _product(
        name: str, value: Any, weight: Any, bias: Tensor | None = None
    ) -> Tensor:
        """Multiply rows of clips with a matrix: ``linear(x, W, b)`` or ``x @ W``."""
        label = next(
            a.label for a in (weight, bias, value) if isinstance(a, SharedParameter)
        )
        matrix = weight
        if isinstance(weight, SharedParameter) and weight.ndim == 2:
            matrix = weight.spread(3, len(value))
        if isinstance(value, SharedParameter) or matrix.ndim < weight.ndim:
            raise GradientError(
                f"parameter {label}: used by {name!r} as the left factor, which"
                " per-clip capture does not know; leave it out with --params"
            )
        if name == "linear":
            matrix = matrix.transpose(-1, -2)
        rows = value.reshape(len(value), -1, value.shape[-1])
        found = torch.matmul(rows, matrix)
        found = found.reshape(*value.shape[:-1], matrix.shape[-1])
        return found if bias is None else found + bias

    def _repeated(self, result: Tensor) -> Tensor:
        """Meet the batch by an `expand` or `repeat` of this tensor alone."""
        base = self.spread(result.ndim, len(result))
        if any(a not in (1, b) for a, b in zip(base.shape, result.shape)):
            raise GradientError(
                f"parameter {self.label}: repeated within a clip, which per-clip"
                " capture does not know; leave it out with --params"
            )
        return base.expand(result.shape)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """List the tensors among arguments, and in lists of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, NESTED):  # slow; most arguments are tensors and numbers
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


def _call(func: Any, args: Any, kwargs: Any, values: dict[int, Tensor]) -> Any:
    """Call a function with shared parameters replaced."""

    def replace(value: Any) -> Any:
        if isinstance(value, NESTED):
            return tree_map(one, value)
        return one(value)

    def one(value: Any) -> Any:
        return values.get(id(value), value) if isinstance(value, Tensor) else value

    return func(*map(replace, args), **{k: replace(v) for k, v in kwargs.items()})


def _pick(step: Step, index: int, value: Tensor) -> Tensor:
    """Return one of several results of a function."""
    return step(value)[index]
