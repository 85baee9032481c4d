"""Kernels, memory traffic and live memory of a pass, counted on torch's meta device.

Networks of real size run there in seconds and without memory; what is counted does not
depend on a machine. Attention is counted as a GPU runs it (`flash_attention`).
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import diffusers
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# Beside views: operators that launch nothing.
NO_KERNEL = {
    "aten::_reshape_alias",
    "aten::_unsafe_view",
    "aten::detach",
    "aten::empty.memory_format",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::lift_fresh",
    "aten::new_empty",
    "aten::promote_types",
}
BLOCK = 512  # bytes: torch's allocator on a GPU rounds up to it


class OperatorCounts(TorchDispatchMode):
    """Counts operators that launch kernels, and the bytes that they read and write.

    One operator counts as one kernel; a few launch several on a GPU. Entries that an
    expanded tensor repeats are stored, and counted, once.

    Attributes:
        kernels_by_operator: Calls by operator.
        bytes_by_operator: Bytes read and written by operator.
        flops_by_operator: FLOP of products and attention, by torch's formulas.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        super().__init__()
        self.kernels_by_operator: Counter[str] = Counter()
        self.bytes_by_operator: Counter[str] = Counter()
        self.flops_by_operator: Counter[str] = Counter()

    @property
    def kernels(self) -> int:
        """Operators that launch a kernel."""
        return self.kernels_by_operator.total()

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self.bytes_by_operator.total()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator and count it."""
        given = kwargs or {}
        found = func(*args, **given)
        name = func.name()
        if func.is_view or name in NO_KERNEL:
            return found
        tensors = [
            leaf
            for leaf in tree_leaves((args, given, found))
            if isinstance(leaf, Tensor)
        ]
        self.kernels_by_operator[name] += 1
        self.bytes_by_operator[name] += sum(map(_touched_bytes, tensors))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            flops = count(*args, **given, out_val=found)
            self.flops_by_operator[func.overloadpacket.__name__] += flops
        return found


class LiveMemory(TorchDispatchMode):
    """Follows the storages that are alive, as the allocator of a GPU would.

    Counted are storages made while the mode is active, and those told of by `hold`.
    Views share the storage of what they view. Workspaces inside of kernels are unseen.

    Attributes:
        live: Bytes alive now.
        peak: The most that were alive at once.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        super().__init__()
        self.live = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def hold(self, tensors: Any) -> None:
        """Count tensors that were made before.

        Args:
            tensors: Any nesting of tensors.
        """
        for leaf in tree_leaves(tensors):
            if isinstance(leaf, Tensor):
                self._follow(leaf)

    def reset_peak(self) -> None:
        """Let the peak begin at what is alive now."""
        self.peak = self.live

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator and follow what it made."""
        found = func(*args, **(kwargs or {}))
        self.hold(found)
        return found

    def _follow(self, tensor: Tensor) -> None:
        """Count a storage until it is freed, which its weak reference tells."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, -(-storage.nbytes() // BLOCK) * BLOCK
        if key in self._known or not size:
            return

        def freed(_: Any) -> None:
            self.live -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, freed)
        self.live += size
        self.peak = max(self.peak, self.live)


@contextmanager
def flash_attention() -> Iterator[None]:
    """Let attention on the meta device be one kernel, as on a GPU.

    Without it, the meta device takes attention apart into products and a softmax over
    all pairs of tokens. A mask, or float32, takes the memory-efficient kernel.

    Yields:
        Nothing.
    """
    before = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = _fused_attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = before


@contextmanager
def gpu_kernels() -> Iterator[None]:
    """Let attention and RMS norms on the meta device be one kernel each, as on a GPU.

    Torch has a kernel for RMS norms on CUDA, which keeps input and inverse root alone.
    Elsewhere it takes them apart into six operators and keeps two float32 copies.

    Yields:
        Nothing.
    """
    before = torch.rms_norm
    torch.rms_norm = _fused_rms_norm
    try:
        with flash_attention():
            yield
    finally:
        torch.rms_norm = before


def wan_1_3b(layers: int = 30) -> diffusers.WanTransformer3DModel:
    """Build Wan 2.1 T2V 1.3B on the meta device, in bf16 as it is loaded.

    Args:
        layers: Number of blocks.

    Returns:
        The network; what the model keeps in float32 stays so.
    """
    with torch.device("meta"):
        network = diffusers.WanTransformer3DModel(
            num_attention_heads=12, ffn_dim=8960, num_layers=layers
        )
    return as_loaded(network.eval())


def as_loaded(network: Any, dtype: torch.dtype = torch.bfloat16) -> Any:
    """Give weights the type they have after `from_pretrained(torch_dtype=...)`.

    Args:
        network: A diffusers network.
        dtype: The type asked for.

    Returns:
        The network; modules that it keeps in float32 stay so.
    """
    wide = network._keep_in_fp32_modules or ()
    for name, parameter in network.named_parameters():
        if not any(part in name.split(".") for part in wide):
            parameter.data = parameter.data.to(dtype)
    return network


@torch.library.custom_op("tqd_meta::rms_norm", mutates_args=())
def _rms_norm_kernel(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Stand for the kernel of a GPU: output, and inverse roots of the rows."""
    raise NotImplementedError("the meta device alone")


@torch.library.custom_op("tqd_meta::rms_norm_backward", mutates_args=())
def _rms_norm_backward_kernel(
    grad: Tensor, x: Tensor, roots: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Stand for the kernel of a GPU: gradients of input and weight."""
    raise NotImplementedError("the meta device alone")


@_rms_norm_kernel.register_fake
def _(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(rows, dtype=torch.float32)


@_rms_norm_backward_kernel.register_fake
def _(
    grad: Tensor, x: Tensor, roots: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    size = 0 if weight is None else weight.numel()
    return torch.empty_like(x), x.new_empty(size)


class _FusedRmsNorm(torch.autograd.Function):
    """RMS norm that keeps what the kernel of a GPU keeps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, size: int) -> Tensor:
        output, roots = _rms_norm_kernel(x, x.numel() // size)
        ctx.save_for_backward(x, weight, roots)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight, roots = ctx.saved_tensors
        wanted = weight if ctx.needs_input_grad[1] else None
        of_x, of_weight = _rms_norm_backward_kernel(grad, x, roots, wanted)
        return of_x, None if wanted is None else of_weight, None


def _fused_rms_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Run an RMS norm by the stand-in of the GPU's kernel."""
    return _FusedRmsNorm.apply(input, weight, math.prod(normalized_shape))


def _touched_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor's entries, repeated ones once."""
    entries = 1
    for size, stride in zip(tensor.shape, tensor.stride()):
        entries *= size if stride else min(size, 1)
    return entries * tensor.element_size()


def _fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Run attention by one of torch's fused operators."""
    assert not enable_gqa
    if attn_mask is None and query.dtype in (torch.float16, torch.bfloat16):
        return torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, is_causal, scale=scale
        )[0]
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale
    )[0]
