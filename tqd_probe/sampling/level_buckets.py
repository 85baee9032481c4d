"""Buckets of noise levels: equal intervals of the range of sigma that a network has.

Losses, draws and differences are counted per bucket. A model with one network has the
range 0 to 1; an expert (Wan 2.2: high or low noise) has its own, and so do its buckets.
"""

from __future__ import annotations

import numpy as np

BUCKETS = 10
FULL_RANGE = (0.0, 1.0)


def bucket_edges(sigma_range: tuple[float, float] = FULL_RANGE) -> np.ndarray:
    """Return the edges of all buckets.

    Args:
        sigma_range: Lowest and highest level of the network.

    Returns:
        Rising levels ``[BUCKETS + 1]``, from end to end of the range.
    """
    low, high = sigma_range
    return np.asarray(low + (high - low) * np.arange(BUCKETS + 1) / BUCKETS)


def bucket_index(
    sigma: np.ndarray, sigma_range: tuple[float, float] = FULL_RANGE
) -> np.ndarray:
    """Return the bucket that each level falls into.

    Args:
        sigma: Levels inside the range ``[...]``.
        sigma_range: Lowest and highest level of the network.

    Returns:
        Integers 0 to ``BUCKETS - 1`` ``[...]``; the highest level is in the last one.
    """
    low, high = sigma_range
    share = (np.asarray(sigma) - low) / (high - low)
    return np.minimum((share * BUCKETS).astype(int), BUCKETS - 1)


def format_buckets(edges: np.ndarray, buckets: list[int]) -> str:
    """Write buckets as ranges of sigma; neighbours are joined.

    Args:
        edges: What `bucket_edges` returns.
        buckets: Rising indices.

    Returns:
        Such as ``0.0 to 0.3, 0.5 to 0.6``.
    """
    ranges: list[list[int]] = []
    for bucket in buckets:
        if ranges and ranges[-1][1] == bucket:
            ranges[-1][1] = bucket + 1
        else:
            ranges.append([bucket, bucket + 1])
    return ", ".join(
        f"{format_level(edges[a])} to {format_level(edges[b])}" for a, b in ranges
    )


def format_level(sigma: float) -> str:
    """Write a bucket's edge: one decimal at least, four at most.

    Args:
        sigma: A level.

    Returns:
        Such as ``0.3`` or ``0.9125``.
    """
    text = f"{sigma:.4f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
