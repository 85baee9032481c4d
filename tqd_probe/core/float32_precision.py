"""Precision of float32 products and convolutions on a GPU: full, or TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def float32_precision(tf32: bool) -> Iterator[None]:
    """Say for a block whether a GPU may round factors to TF32 (10 bits of mantissa).

    Torch's own defaults differ: products in full precision, convolutions in TF32. A CPU
    has no TF32. A program that has set torch's newer `fp32_precision` gets it back:
    torch then refuses to tell the older switches, which its compiler reads.

    Args:
        tf32: Whether it may, in products and in convolutions.

    Yields:
        Nothing.
    """
    products: Any = torch.backends.cuda.matmul
    layers: Any = torch.backends.cudnn
    try:
        before = products.allow_tf32, layers.allow_tf32
        newer = []
    except RuntimeError:
        before = False, False
        parts = products, layers.conv, layers.rnn
        newer = [(part, part.fp32_precision) for part in parts]
    products.allow_tf32 = layers.allow_tf32 = tf32
    try:
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before
        for part, value in newer:
            part.fp32_precision = value


def uses_tf32(device: torch.device | str) -> bool:
    """Return whether float32 convolutions on a device are rounded to TF32 now.

    Args:
        device: A torch device.

    Returns:
        False on a CPU.
    """
    cuda = torch.device(device).type == "cuda"
    return cuda and bool(torch.backends.cudnn.allow_tf32)
