"""Gram matrices of one noise level, computed from its sketched gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.level_sketch import LevelSketch


def sketched_gram(
    sketch: LevelSketch, draws: np.ndarray, losses: np.ndarray, **more: np.ndarray
) -> LevelGram:
    """Compute a level's Gram matrices from its sketches.

    Args:
        sketch: The level's sketches.
        draws: Products of the draws of one clip ``[groups, versions, clips, draws,
            draws]``. Their diagonal is exact where exact norms were kept; the squared
            norms of the clips' means are then exact too.
        losses: Losses ``[clips, draws, versions]``.
        **more: Other fields of `LevelGram` that single draws are needed for.

    Returns:
        The matrices.
    """
    products = sketch.products()
    for version, clip in np.ndindex(*sketch.values.shape[:2]):
        own = draws[:, version, clip].mean((-1, -2))
        products[:, version, clip, version, clip] = own
    fields: dict[str, Any] = dict(more)
    if sketch.others is not None:
        fields |= _unpaired_products(sketch, sketch.others, more["others_draws"])
    return LevelGram(
        groups=tuple(sketch.groups),
        products=products,
        draws=draws,
        losses=losses,
        splits=sketch.pair_means(),
        **fields,
    )


def _unpaired_products(
    sketch: LevelSketch, unpaired: np.ndarray, draws: np.ndarray
) -> dict[str, np.ndarray]:
    """Multiply unpaired clips with the paired ones and with each other."""
    others, among = [], []
    for start, stop in sketch.groups.values():
        own = unpaired[:, start:stop].astype(np.float64)
        paired = sketch.values[..., start:stop].astype(np.float64)
        others.append(np.einsum("mp,cip->mci", own, paired, optimize=True))
        among.append(own @ own.T)
    found = np.stack(among)
    places = np.arange(found.shape[-1])
    found[:, places, places] = draws.mean((-1, -2))
    return {
        "others": np.stack(others),
        "among": found,
    }
