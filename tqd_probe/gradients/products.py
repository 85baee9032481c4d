"""Sums of outer products over tokens, in float32 whatever the type of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

CHUNKS = 8  # of the tokens: one thin product keeps few of a GPU's processors busy
LEAST_TOKENS = 4096  # below which tokens are not divided
HALF = (torch.bfloat16, torch.float16)
# Whether a GPU multiplies half precision with float32 results: torch 2.8 on, by CUDA.
HALF_TO_FLOAT = "dtype" in torch.ops.aten.bmm.overloads() and torch.version.hip is None


def per_clip_rows(value: Tensor, clips: int) -> Tensor:
    """Bring a layer's input or output gradient into the form of `outer_products`.

    Args:
        value: ``[clips * k, ..., n]``.
        clips: Number of clips B.

    Returns:
        ``[B, tokens, n]``, a view where possible.
    """
    shape = value.shape
    if len(shape) == 3 and shape[0] == clips:  # the usual form, hundreds of times
        return value
    return value.reshape(clips, -1, shape[-1])


def output_rows(grad: Tensor, clips: int, channels_first: bool) -> Tensor:
    """Bring a layer's output gradient into the form of `outer_products`.

    Args:
        grad: ``[clips * k, ..., out]``, or ``[clips * k, out, ...]``.
        clips: Number of clips B.
        channels_first: Which of the two it is.

    Returns:
        ``[B, tokens, out]``.
    """
    rows = grad.flatten(2).transpose(1, 2) if channels_first else grad
    return per_clip_rows(rows, clips)


def outer_products(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """Sum outer products over the tokens of each clip: ``sum_t left_t right_t^T``.

    On a GPU, products of half-precision factors are summed in float32 without casting
    the factors (`out_dtype`). A CPU and older torch have no such product: there they
    are cast.

    Args:
        left: ``[B, tokens, m]``.
        right: ``[B, tokens, n]``.
        out: Where to form it.

    Returns:
        ``[B, m, n]`` in float32; in float64 for float64 factors. `out`, if given.
    """
    if left.dtype != right.dtype:  # under autocast: the layer multiplied in half
        half = left.dtype if left.dtype in HALF else right.dtype
        left, right = left.to(half), right.to(half)
    cast = left.device.type == "cpu" or not HALF_TO_FLOAT
    if left.dtype in HALF and cast:
        left, right = left.float(), right.float()
    if left.dtype in HALF:
        found = _half_products(left, right)
        return found if out is None else out.copy_(found)
    if out is not None and out.dtype == left.dtype:
        return torch.bmm(left.transpose(1, 2), right, out=out)
    found = torch.bmm(left.transpose(1, 2), right)
    return found if out is None else out.copy_(found)


def _half_products(left: Tensor, right: Tensor) -> Tensor:
    """Multiply half-precision factors on a GPU, with float32 results."""
    clips, tokens, _ = left.shape
    chunks = CHUNKS if tokens % CHUNKS == 0 and tokens >= LEAST_TOKENS else 1
    if chunks > 1:
        left = left.reshape(clips * chunks, tokens // chunks, -1)
        right = right.reshape(clips * chunks, tokens // chunks, -1)
    found = torch.bmm(left.transpose(1, 2), right, out_dtype=torch.float32)
    return found.view(clips, chunks, *found.shape[1:]).sum(1) if chunks > 1 else found


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which gradients of a network are summed.

    Args:
        dtype: The network's type.

    Returns:
        float64 for float64, float32 for all others.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def _batched_product_flops(
    left: Tensor, right: Tensor, *_: Any, out_val: Any = None, **__: Any
) -> int:
    """Count the operations of a batched product of ``[B, m, n]`` and ``[B, n, p]``."""
    return 2 * left.numel() * right.shape[-1]


# torch's own formula stops at `out_dtype`: "multiple values for argument 'out_shape'".
flop_registry[torch.ops.aten.bmm] = _batched_product_flops
