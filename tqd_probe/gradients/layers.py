"""Which layers give per-clip gradients of their own parameters, and how.

A rule takes a layer and what its leaves need, and attaches the leaves to a call of the
layer: it returns the layer's output, on whose way back the leaves get their gradients
(`zero_leaves.py`). Input and output have clips in front. A clip may fill several rows
(a flattened sequence); they are consecutive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.normalization import RMSNorm as DiffusersRMSNorm
from torch import Tensor, nn

from tqd_probe.gradients.kept_gradients import KeptGradients, LeafPlan
from tqd_probe.gradients.sketch import Padded
from tqd_probe.gradients.zero_leaves import (
    ConvolutionLeaves,
    EmbeddingLeaf,
    Forms,
    LinearLeaves,
    NormLeaves,
    ProjectedLinearLeaves,
    ScaleLeaf,
)

LEAST_SCALE = 1e-30  # of a norm: below, its output does not tell the normalised input
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


@dataclass
class LayerLeaves:
    """A layer and the leaves of its own parameters.

    Attributes:
        layer: The layer.
        names: Parameter name by attribute: ``weight``, ``bias``.
        plans: Plan of each leaf, by attribute.
        kept: What is kept of gradients.
        leaves: The leaves of the current pass, by attribute. That of a projected
            weight mostly holds the bias too, behind its own entries.
        scaled: Whether a norm's scale gradient can be told from its output.
        padded: Projection of the weight and its offset, where they are known before
            the pass. Compiled blocks that differ only in tensors share one graph;
            looking the projection up by the layer's name would make a graph for each.
        forms: What is kept of the gradients of weight and bias.
        projected: Whether the weight's projection is wanted, not its gradient.
    """

    layer: nn.Module
    names: dict[str, str]
    plans: dict[str, LeafPlan]
    kept: KeptGradients
    leaves: dict[str, Tensor]
    scaled: bool = False
    padded: Padded | None = None
    forms: Forms = field(init=False)
    projected: bool = field(init=False)

    def __post_init__(self) -> None:
        """Say once what every pass asks: what is kept, and whether projected."""
        weight, bias = self.plans.get("weight"), self.plans.get("bias")
        self.projected = weight is not None and weight.projected
        self.forms = (
            None if weight is None else weight.form,
            None if bias is None else bias.form,
        )

    def leaf(self, key: str) -> Tensor | None:
        """Return the leaf of an attribute, if it is wanted."""
        return self.leaves.get(key)

    def projection(self, x: Tensor) -> Padded:
        """Return the weight's projection and its offset, in the type of the input."""
        known = self.padded
        if known is not None and (known[0].dtype, known[0].device) == (
            x.dtype,
            x.device,
        ):
            return known
        return self.kept.projection(self.names["weight"], x.device, x.dtype)


Attach = Callable[[LayerLeaves, Tensor, Tensor, int], Tensor]


def attach_linear(own: LayerLeaves, x: Tensor, y: Tensor, clips: int) -> Tensor:
    """Attach the leaves of a linear layer.

    Args:
        own: The layer, with its leaves.
        x: Input ``[clips * k, ..., in]``.
        y: Output ``[clips * k, ..., out]``.
        clips: Number of clips.

    Returns:
        The output.
    """
    return _linear(own, x, y, clips, channels_first=False)


def _linear(
    own: LayerLeaves, x: Tensor, y: Tensor, clips: int, channels_first: bool
) -> Tensor:
    """Attach leaves to a layer that is linear in the last dimension of x."""
    weight, bias = own.leaf("weight"), own.leaf("bias")
    if weight is None or not own.projected:
        return LinearLeaves.attach(
            y, x.detach(), weight, bias, clips, own.forms, channels_first
        )
    projection, offset = own.projection(x)
    return ProjectedLinearLeaves.attach(
        y, x.detach(), projection, offset, weight, bias, clips, channels_first
    )


def attach_convolution(own: LayerLeaves, x: Tensor, y: Tensor, clips: int) -> Tensor:
    """Attach the leaves of a convolution in 1 to 3 dimensions.

    Args:
        own: The layer, with its leaves.
        x: Input ``[clips * k, in, ...]``.
        y: Output ``[clips * k, out, ...]``.
        clips: Number of clips.

    Returns:
        The output.
    """
    layer: Any = own.layer
    patches = (
        layer.kernel_size == layer.stride
        and not any(layer.padding)
        and set(layer.dilation) == {1}
        and layer.groups == 1
    )
    if patches:  # a patch embedding is a linear layer on patches
        return _linear(own, _patches(layer, x, y), y, clips, channels_first=True)
    spatial = x.ndim - 2
    options = (
        layer.stride,
        layer.padding,
        layer.dilation,
        False,  # transposed
        (0,) * spatial,
        layer.groups,
    )
    return ConvolutionLeaves.attach(
        y,
        x.detach(),
        layer.weight.detach(),
        own.leaf("weight"),
        own.leaf("bias"),
        clips,
        own.forms,
        options,
    )


def _patches(layer: Any, x: Tensor, y: Tensor) -> Tensor:
    """Cut an input into a convolution's patches ``[rows, places, in * kernel]``."""
    x, kernel, places = x.detach(), layer.kernel_size, y.shape[2:]
    for dim, (size, count) in enumerate(zip(kernel, places), start=2):
        x = x.narrow(dim, 0, size * count)  # a remainder never reached the output
    split = [n for pair in zip(places, kernel) for n in pair]
    x = x.reshape(len(x), x.shape[1], *split)
    dims = len(kernel)
    order = [0, *range(2, 2 + 2 * dims, 2), 1, *range(3, 3 + 2 * dims, 2)]
    return x.permute(order).reshape(len(x), places.numel(), -1)


def attach_norm(own: LayerLeaves, x: Tensor, y: Tensor, clips: int) -> Tensor:
    """Attach the leaves of a layer norm or root-mean-square norm.

    Args:
        own: The layer, with its leaves.
        x: Input ``[clips * k, ..., *shape]``.
        y: Output, same shape.
        clips: Number of clips.

    Returns:
        The output.
    """
    layer: Any = own.layer
    weight, bias = own.leaf("weight"), own.leaf("bias")
    if own.scaled and weight is not None and bias is None:
        return ScaleLeaf.attach(y, layer.weight.detach(), weight, clips, own.forms[0])
    shape = tuple((layer.weight if layer.weight is not None else layer.bias).shape)
    eps = layer.eps
    if eps is None:
        eps = torch.finfo(x.dtype).eps
    return NormLeaves.attach(
        y,
        x.detach(),
        weight,
        bias,
        clips,
        own.forms,
        shape,
        float(eps),
        isinstance(layer, nn.LayerNorm),
    )


def attach_embedding(own: LayerLeaves, x: Tensor, y: Tensor, clips: int) -> Tensor:
    """Attach the leaf of an embedding.

    Args:
        own: The layer, with its leaf.
        x: Indices ``[clips * k, ...]``.
        y: Output ``[clips * k, ..., width]``.
        clips: Number of clips.

    Returns:
        The output.
    """
    layer: Any = own.layer
    return EmbeddingLeaf.attach(
        y,
        x,
        own.leaves["weight"],
        clips,
        layer.num_embeddings,
        own.plans["weight"].form,
    )


RULES: dict[type[nn.Module], Attach] = {
    nn.Linear: attach_linear,
    nn.Conv1d: attach_convolution,
    nn.Conv2d: attach_convolution,
    nn.Conv3d: attach_convolution,
    nn.LayerNorm: attach_norm,
    nn.RMSNorm: attach_norm,
    DiffusersRMSNorm: attach_norm,
    nn.Embedding: attach_embedding,
}


def rule_of(layer: nn.Module) -> Attach | None:
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


def scale_tells_input(layer: nn.Module) -> bool:
    """Return whether a norm's output determines its normalised input.

    Args:
        layer: A layer with a rule.

    Returns:
        True for root-mean-square norms without an offset whose scale is nowhere zero.
    """
    if not isinstance(layer, (nn.RMSNorm, DiffusersRMSNorm)):
        return False
    if getattr(layer, "bias", None) is not None or layer.weight is None:
        return False
    weight: Any = layer.weight.detach()
    if weight.device.type == "meta":
        return True
    if hasattr(weight, "full_tensor"):  # sharded over processes
        weight = weight.full_tensor()
    return bool(weight.abs().min() > LEAST_SCALE)
