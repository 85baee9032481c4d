"""Per-clip parameter gradients of single layers, from input and output gradient.

Each rule takes the layer, its input and the gradient of its output, both with clips as
the first dimension, and returns one gradient per clip. A clip may fill several rows of
that dimension (a flattened sequence); they are consecutive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.normalization import RMSNorm as DiffusersRMSNorm
from torch import Tensor, nn
from torch.nn import functional as F

Rule = Callable[[nn.Module, Tensor, Tensor, int], dict[str, Tensor]]
Factors = Callable[[nn.Module, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def linear_factors(
    layer: nn.Module, x: Tensor, g: Tensor, clips: int
) -> tuple[Tensor, Tensor]:
    """Linear: the factors of ``dW_b = sum_t left_bt right_bt^T``.

    Args:
        layer: An `nn.Linear`.
        x: Input ``[clips * k, ..., in]``.
        g: Gradient of the output ``[clips * k, ..., out]``.
        clips: Number of clips.

    Returns:
        ``left [clips, tokens, out]`` and ``right [clips, tokens, in]``.
    """
    return g.reshape(clips, -1, g.shape[-1]), x.reshape(clips, -1, x.shape[-1])


def linear(layer: nn.Module, x: Tensor, g: Tensor, clips: int) -> dict[str, Tensor]:
    """Linear: ``dW_b = sum_t g_bt x_bt^T``, ``db_b = sum_t g_bt``.

    Args:
        layer: An `nn.Linear`.
        x: Input ``[clips * k, ..., in]``.
        g: Gradient of the output ``[clips * k, ..., out]``.
        clips: Number of clips.

    Returns:
        ``weight [clips, out, in]`` and, where the layer has one, ``bias``.
    """
    left, right = linear_factors(layer, x, g, clips)
    out = {"weight": torch.bmm(left.transpose(1, 2), right)}
    if layer.bias is not None:
        out["bias"] = left.sum(1)
    return out


def convolution(
    layer: nn.Module, x: Tensor, g: Tensor, clips: int
) -> dict[str, Tensor]:
    """Convolution in 1 to 3 dimensions.

    Args:
        layer: An `nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d` with zero padding.
        x: Input ``[clips * k, in, ...]``.
        g: Gradient of the output ``[clips * k, out, ...]``.
        clips: Number of clips.

    Returns:
        ``weight [clips, out, in / groups, ...]`` and, where present, ``bias``.
    """
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    patches = (
        layer.kernel_size == layer.stride
        and not any(layer.padding)
        and set(layer.dilation) == {1}
        and layer.groups == 1
    )
    if patches:  # a patch embedding is a linear layer on patches
        weight = _patch_weight(layer, x, g, clips)
    else:
        weight = _convolution_weight(layer, x, g, clips)
    out = {"weight": weight}
    if layer.bias is not None:
        out["bias"] = g.reshape(clips, -1, *g.shape[1:]).flatten(3).sum((1, 3))
    return out


def _convolution_weight(
    layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor, g: Tensor, clips: int
) -> Tensor:
    """Weight gradients of any convolution, by one vector-Jacobian product per clip."""
    convolve: Any = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    weight = layer.weight.detach().to(x.dtype)
    found = []
    for row, part in zip(x.chunk(clips), g.chunk(clips)):

        def forward(w: Tensor, row: Tensor = row) -> Tensor:
            return convolve(
                row,
                w,
                None,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
                groups=layer.groups,
            )

        pull_back: Any = torch.func.vjp(forward, weight)[1]
        found.append(pull_back(part)[0])
    return torch.stack(found)


def _patch_weight(
    layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor, g: Tensor, clips: int
) -> Tensor:
    """Weight gradients of a convolution whose patches do not overlap."""
    kernel, places = layer.kernel_size, g.shape[2:]
    for dim, (size, count) in enumerate(zip(kernel, places), start=2):
        x = x.narrow(dim, 0, size * count)  # a remainder never reached the output
    split = [n for pair in zip(places, kernel) for n in pair]
    x = x.reshape(len(x), x.shape[1], *split)
    dims = len(kernel)
    order = [0, *range(2, 2 + 2 * dims, 2), 1, *range(3, 3 + 2 * dims, 2)]
    columns = x.permute(order).reshape(clips, -1, layer.weight[0].numel())
    rows = g.flatten(2).transpose(1, 2).reshape(clips, -1, g.shape[1])
    weight = torch.bmm(rows.transpose(1, 2), columns)
    return weight.reshape(clips, *layer.weight.shape)


def layer_norm(layer: nn.Module, x: Tensor, g: Tensor, clips: int) -> dict[str, Tensor]:
    """Layer norm: the scale's gradient is ``sum_t g_bt * xhat_bt``.

    Args:
        layer: An `nn.LayerNorm`, or a subclass that normalises alike.
        x: Input ``[clips * k, ..., *normalized_shape]``.
        g: Gradient of the output, same shape.
        clips: Number of clips.

    Returns:
        ``weight`` and ``bias`` with a leading dimension of clips, where present.
    """
    assert isinstance(layer, nn.LayerNorm)
    normal = F.layer_norm(x, layer.normalized_shape, None, None, layer.eps)
    return _affine(layer, normal, g, clips, len(layer.normalized_shape))


def rms_norm(layer: nn.Module, x: Tensor, g: Tensor, clips: int) -> dict[str, Tensor]:
    """Root-mean-square norm of torch or diffusers: ``sum_t g_bt * xhat_bt``.

    Args:
        layer: The norm; its scale spans the trailing dimensions.
        x: Input ``[clips * k, ..., *shape]``.
        g: Gradient of the output, same shape.
        clips: Number of clips.

    Returns:
        ``weight`` and ``bias`` with a leading dimension of clips, where present.
    """
    assert isinstance(layer.weight, Tensor)
    shape = layer.weight.shape
    size = shape.numel()
    x, g = x.reshape(clips, -1, size), g.reshape(clips, -1, size)
    eps = torch.finfo(x.dtype).eps if layer.eps is None else float(layer.eps)  # type: ignore[arg-type]
    # sum_t g_t x_t / rms_t as a product with 1 / rms: xhat is not formed.
    squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
    scale = squares.div_(size).add_(eps).rsqrt_()
    out = {"weight": torch.bmm(scale.transpose(1, 2), g * x).reshape(clips, *shape)}
    if getattr(layer, "bias", None) is not None:
        out["bias"] = g.sum(1).reshape(clips, *shape)
    return out


def embedding(layer: nn.Module, x: Tensor, g: Tensor, clips: int) -> dict[str, Tensor]:
    """Embedding: the gradient of a row is the sum over its uses by a clip.

    Args:
        layer: An `nn.Embedding`.
        x: Indices ``[clips * k, ...]``.
        g: Gradient of the output ``[clips * k, ..., width]``.
        clips: Number of clips.

    Returns:
        ``weight [clips, rows, width]``.
    """
    assert isinstance(layer, nn.Embedding)
    g = g.reshape(clips, -1, g.shape[-1])
    places = x.reshape(clips, -1, 1).long().expand_as(g)
    weight = g.new_zeros(clips, layer.num_embeddings, g.shape[-1])
    return {"weight": weight.scatter_add(1, places, g)}


def _affine(
    layer: nn.Module, normal: Tensor, g: Tensor, clips: int, dims: int
) -> dict[str, Tensor]:
    """Sum the gradients of a scale and an offset over all rows of a clip."""
    shape = g.shape[g.ndim - dims :]
    out = {}
    if getattr(layer, "weight", None) is not None:
        out["weight"] = (g * normal).reshape(clips, -1, *shape).sum(1)
    if getattr(layer, "bias", None) is not None:
        out["bias"] = g.reshape(clips, -1, *shape).sum(1)
    return out


RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.LayerNorm: layer_norm,
    nn.RMSNorm: rms_norm,
    DiffusersRMSNorm: rms_norm,
    nn.Embedding: embedding,
}


FACTORS: dict[type[nn.Module], Factors] = {nn.Linear: linear_factors}


def factors_of(layer: nn.Module) -> Factors | None:
    """Return the function that factors a layer's weight gradient.

    Args:
        layer: Any module.

    Returns:
        The function; None for layers whose gradient has no such factors.
    """
    for kind, factors in FACTORS.items():
        if isinstance(layer, kind) and rule_of(layer) is RULES[kind]:
            return factors
    return None


def rule_of(layer: nn.Module) -> Rule | None:
    """Return the rule of a layer.

    Args:
        layer: Any module.

    Returns:
        Its rule; None where there is none, and its parameters are treated as
        parameters outside a layer.
    """
    for kind, rule in RULES.items():
        if isinstance(layer, kind):
            padded = getattr(layer, "padding_mode", "zeros")
            text = isinstance(getattr(layer, "padding", 0), str)
            return None if padded != "zeros" or text else rule
    return None
