"""Precision of float32 products and convolutions on a GPU: full, or TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_precision(tf32: bool) -> Iterator[None]:
    """Say for a block whether a GPU may round factors to TF32 (10 bits of mantissa).

    Torch's own defaults differ: products in full precision, convolutions in TF32. A CPU
    has no TF32.

    Args:
        tf32: Whether it may, in products and in convolutions.

    Yields:
        Nothing.
    """
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before[0]
        torch.backends.cudnn.allow_tf32 = before[1]


def uses_tf32(device: torch.device | str) -> bool:
    """Return whether float32 convolutions on a device are rounded to TF32 now.

    Args:
        device: A torch device.

    Returns:
        False on a CPU.
    """
    cuda = torch.device(device).type == "cuda"
    return cuda and bool(torch.backends.cudnn.allow_tf32)
