"""Per-clip gradients of layers as gradients of leaves that are zero.

A layer computes ``y = W x``. Give every clip b its own ``z_b``, zero and of the size of
the weight, and let the layer compute ``y_b = (W + z_b) x_b``: nothing changes, and the
gradient of z_b is the gradient of clip b, ``sum_t g_t x_t^T``. The same holds for any
fixed linear map of it, such as a sketch, with a leaf of the size of the map's result.

Since the leaf is zero, it need not be added. Each function here is the identity on a
layer's output, keeps what it needs with `save_for_backward`, and returns the gradient
of the leaf. All that lives between the passes is known to autograd: checkpointing drops
and recomputes it, compilers trace it, and no gradient of a weight is ever formed by
autograd itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tqd_probe.gradients.products import (
    outer_products,
    output_rows,
    per_clip_rows,
    wide,
)

# What is kept of gradients ``[B, *shape]`` of a parameter: ``[B, n]``.
Form = Callable[[Tensor], Tensor]


class PlacedForm:
    """A form that keeps gradients whole, and may have a place for them."""

    def __call__(self, gradients: Tensor) -> Tensor:
        """Return gradients ``[B, *shape]`` as they are: ``[B, n]``."""
        return gradients.flatten(1)

    def take(self) -> Tensor | None:
        """Return the place ``[B, n]`` of the next gradient; None without one."""
        return None


Forms = tuple[Form | None, Form | None]  # of weight and bias


class LeafFunction(torch.autograd.Function):
    """A function whose call costs little: a pass of a large network makes hundreds."""

    @classmethod
    def attach(cls, *values: Any) -> Tensor:
        """Return ``apply(*values)``.

        `apply` looks for transforms of `torch.func` first, which are never active here.
        A kernel's launch takes less time than that.
        """
        if torch.compiler.is_compiling():
            return cls.apply(*values)
        plain: Any = super(torch.autograd.Function, cls)
        found: Tensor = plain.apply(*values)
        return found


class LinearLeaves(LeafFunction):
    """Weight ``sum_t g_t x_t^T`` and bias ``sum_t g_t`` of a linear layer."""

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        x: Tensor,
        weight_leaf: Tensor | None,
        bias_leaf: Tensor | None,
        clips: int,
        forms: Forms,
        channels_first: bool,
    ) -> Tensor:
        """Keep the input, and pass the output on."""
        ctx.clips, ctx.forms, ctx.channels_first = clips, forms, channels_first
        ctx.wanted = weight_leaf is not None, bias_leaf is not None
        ctx.save_for_backward(x if weight_leaf is not None else None)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return gradients of the output and of the leaves."""
        (x,) = ctx.saved_tensors
        rows = output_rows(grad, ctx.clips, ctx.channels_first)
        weight = bias = None
        if ctx.wanted[0]:
            x = per_clip_rows(x, ctx.clips)
            form, place = ctx.forms[0], None
            if isinstance(form, PlacedForm) and not torch.compiler.is_compiling():
                place = form.take()
            if place is None:
                weight = form(outer_products(rows, x))
            else:  # forming it in its place saves a copy
                shape = len(x), rows.shape[2], x.shape[2]
                outer_products(rows, x, place.view(shape))
                weight = place
        if ctx.wanted[1]:
            bias = ctx.forms[1](rows.sum(1, dtype=wide(rows.dtype)))
        return grad, None, weight, bias, None, None, None


class ProjectedLinearLeaves(LeafFunction):
    """Projection ``(dW Q)^T = sum_t (Q^T x_t) g_t^T``, and bias, of a linear layer.

    Of the input, only ``Q^T x_t`` is kept, a few numbers per token. A one beside them
    makes the same product give the bias: ``sum_t 1 g_t``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        x: Tensor,
        projection: Tensor,
        offset: Tensor | None,
        weight_leaf: Tensor,
        bias_leaf: Tensor | None,
        clips: int,
        channels_first: bool,
    ) -> Tensor:
        """Keep the projected input, and pass the output on."""
        ctx.clips, ctx.channels_first = clips, channels_first
        ctx.size, ctx.has_bias = weight_leaf.shape[1], bias_leaf is not None
        ctx.save_for_backward(_project(x.flatten(0, -2), projection, offset))
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return gradients of the output and of the leaves."""
        (kept,) = ctx.saved_tensors
        rows = output_rows(grad, ctx.clips, ctx.channels_first)
        products = outer_products(per_clip_rows(kept, ctx.clips), rows).flatten(1)
        # Views: no copy for every layer. Mostly the weight's leaf holds the bias too.
        whole = products.shape[1] == ctx.size
        weight = products if whole else products.narrow(1, 0, ctx.size)
        bias = products.narrow(1, ctx.size, rows.shape[-1]) if ctx.has_bias else None
        return grad, None, None, None, weight, bias, None, None


def _project(x: Tensor, projection: Tensor, offset: Tensor | None) -> Tensor:
    """Return ``x @ projection`` of rows x, followed by ones."""
    if offset is None:
        return F.pad(torch.mm(x, projection), (0, 1), value=1.0)
    return torch.addmm(offset, x, projection)


class ConvolutionLeaves(LeafFunction):
    """Weight and bias of a convolution whose patches overlap."""

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        x: Tensor,
        weight: Tensor,
        weight_leaf: Tensor | None,
        bias_leaf: Tensor | None,
        clips: int,
        forms: Forms,
        options: tuple[Any, ...],
    ) -> Tensor:
        """Keep the input, and pass the output on."""
        ctx.clips, ctx.forms, ctx.options = clips, forms, options
        ctx.wanted = weight_leaf is not None, bias_leaf is not None
        ctx.save_for_backward(x, weight)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return gradients of the output and of the leaves, clip by clip."""
        x, weight = ctx.saved_tensors
        kind = wide(grad.dtype)
        found = bias = None
        if ctx.wanted[0]:
            parts = [
                torch.ops.aten.convolution_backward(
                    g.to(kind),
                    row.to(kind),
                    weight.to(kind),
                    None,
                    *ctx.options,
                    [False, True, False],
                )[1]
                for row, g in zip(x.chunk(ctx.clips), grad.chunk(ctx.clips))
            ]
            found = ctx.forms[0](torch.stack(parts))
        if ctx.wanted[1]:
            rows = grad.reshape(ctx.clips, -1, *grad.shape[1:])
            bias = ctx.forms[1](rows.flatten(3).sum((1, 3), dtype=kind))
        return grad, None, None, found, bias, None, None, None


class ScaleLeaf(LeafFunction):
    """Scale of a norm ``y = w * xhat``, from its output: ``sum_t g_t y_t / w``.

    Needs neither the input nor the norm anew. Where w is zero, y does not tell xhat:
    `NormLeaves` is for such layers.
    """

    @staticmethod
    def forward(
        ctx: Any, output: Tensor, weight: Tensor, leaf: Tensor, clips: int, form: Form
    ) -> Tensor:
        """Keep the output, and pass it on."""
        ctx.clips, ctx.form = clips, form
        ctx.save_for_backward(output, weight)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return gradients of the output and of the leaf."""
        output, weight = ctx.saved_tensors
        rows = (grad * output).reshape(ctx.clips, -1, weight.numel())
        found = rows.sum(1, dtype=wide(grad.dtype)) / weight.flatten()
        return grad, None, ctx.form(found), None, None


class NormLeaves(LeafFunction):
    """Scale ``sum_t g_t xhat_t`` and offset ``sum_t g_t`` of a norm, from its input."""

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        x: Tensor,
        weight_leaf: Tensor | None,
        bias_leaf: Tensor | None,
        clips: int,
        forms: Forms,
        shape: tuple[int, ...],
        eps: float,
        centred: bool,
    ) -> Tensor:
        """Keep the input, and pass the output on."""
        ctx.clips, ctx.forms = clips, forms
        ctx.shape, ctx.eps, ctx.centred = shape, eps, centred
        ctx.wanted = weight_leaf is not None, bias_leaf is not None
        ctx.save_for_backward(x)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return gradients of the output and of the leaves."""
        (x,) = ctx.saved_tensors
        kind = wide(grad.dtype)
        rows = grad.reshape(ctx.clips, -1, math.prod(ctx.shape))
        weight = bias = None
        if ctx.wanted[0]:
            normal = (F.layer_norm if ctx.centred else F.rms_norm)(
                x, ctx.shape, eps=ctx.eps
            )
            products = (grad * normal).reshape(rows.shape)
            weight = ctx.forms[0](products.sum(1, dtype=kind))
        if ctx.wanted[1]:
            bias = ctx.forms[1](rows.sum(1, dtype=kind))
        return grad, None, weight, bias, None, None, None, None, None


class EmbeddingLeaf(LeafFunction):
    """Rows of an embedding: the gradient of a row is the sum over its uses."""

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        indices: Tensor,
        leaf: Tensor,
        clips: int,
        rows: int,
        form: Form,
    ) -> Tensor:
        """Keep the indices, and pass the output on."""
        ctx.clips, ctx.rows, ctx.form = clips, rows, form
        ctx.save_for_backward(indices)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return gradients of the output and of the leaf."""
        (indices,) = ctx.saved_tensors
        g = per_clip_rows(grad, ctx.clips)
        g = g.to(wide(g.dtype))
        places = indices.reshape(ctx.clips, -1, 1).long().expand_as(g)
        weight = g.new_zeros(ctx.clips, ctx.rows, g.shape[-1])
        return grad, None, ctx.form(weight.scatter_add(1, places, g)), None, None, None


class SpreadLeaf(LeafFunction):
    """A parameter outside a layer, given to each clip: ``[B, *shape]``."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, leaf: Tensor, clips: int, form: Form
    ) -> Tensor:
        """Repeat the value; no memory is taken."""
        ctx.form = form
        return value.expand(clips, *value.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Return the gradient of the leaf."""
        return None, ctx.form(grad.to(wide(grad.dtype))), None, None
