"""Reduce the draws of one noise level to products, and to vectors or sketches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from tqd_probe.core.tensor_files import Tensors
from tqd_probe.gradients.class_vectors import (
    EXACT_UP_TO,
    ClassVectors,
    pool_versions,
)
from tqd_probe.gradients.draws import LevelDraws
from tqd_probe.gradients.gram import LevelGram, gram_from_columns
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.level_sketch import LevelSketch
from tqd_probe.gradients.sketch import SPLITS, Sketch


@dataclass(frozen=True)
class Reduction:
    """How the levels of a run are reduced.

    Attributes:
        layout: The parameters of whole gradients.
        sketch: The sketch that draws have, or that larger whole gradients get for
            products between levels.
        classes: The versions that each class pools: golden's first.
        unpaired: Indices among the unpaired clips of each class of such.
    """

    layout: Layout
    sketch: Sketch
    classes: list[list[int]] = field(default_factory=lambda: [[0]])
    unpaired: list[list[int]] = field(default_factory=list)


def whole_products(draws: LevelDraws, layout: Layout) -> LevelGram:
    """Multiply whole gradients.

    Args:
        draws: The draws of a level.
        layout: The parameters.

    Returns:
        The level's Gram matrices.
    """
    losses = [[part["losses"] for part in read] for read in draws]  # checks shards too
    reader = draws.columns()
    return gram_from_columns(
        reader.paired,
        layout.groups,
        np.array(losses[: draws.paired]),
        unpaired=reader.unpaired if draws.others else None,
    )


def whole_vectors(draws: LevelDraws, reduction: Reduction) -> ClassVectors:
    """Reduce whole gradients to what products between levels are taken between.

    Args:
        draws: The draws of a level.
        reduction: How.

    Returns:
        One vector per clip and class: whole where it is small, else sketched.
    """
    sketch, classes = reduction.sketch, reduction.classes
    exact = reduction.layout.size <= EXACT_UP_TO
    values, others = [], []
    for row, read in enumerate(draws):
        mean = _mean(read)
        if row < draws.paired:
            mean = pool_versions(mean, classes)
        vectors = mean if exact else sketch.of_flat(torch.from_numpy(mean)).numpy()
        if row < draws.paired:
            values.append(vectors)
        else:
            others.append(vectors[0])
    stacked = np.stack(values, 1), np.stack(others) if others else None
    if exact:
        return ClassVectors(*stacked)
    pooled = LevelSketch(sketch.groups, SPLITS, *stacked)
    return ClassVectors.of_sketch(pooled, [[k] for k in range(len(classes))])


def reduce_sketched(
    draws: LevelDraws, reduction: Reduction
) -> tuple[LevelSketch, Tensors]:
    """Reduce sketched gradients.

    Args:
        draws: The draws of a level.
        reduction: How.

    Returns:
        Sketches of the clips; and what with them makes the level's Gram matrices
        (`sketched_gram`): products of single draws, losses.
    """
    losses: list[list[np.ndarray]] = []
    means: list[np.ndarray] = []
    for row, read in enumerate(draws):
        means.append(_mean(read))
        if row < draws.paired:
            losses.append([part["losses"] for part in read])
    others = [mean[0] for mean in means[draws.paired :]]
    found = LevelSketch(
        reduction.sketch.groups,
        SPLITS,
        np.stack(means[: draws.paired], 1),
        np.stack(others) if others else None,
        reduction.sketch.entrywise_groups(),
    )
    products = _products_of_draws(draws, found)
    products["losses"] = np.array(losses)
    if reduction.unpaired:
        parts = [found.unpaired_pair_means(rows) for rows in reduction.unpaired]
        products["others_splits"] = np.stack(parts, 1)
    return found, products


def _mean(draws: list[Tensors]) -> np.ndarray:
    """Average the draws of a clip ``[versions, size]``."""
    total = draws[0]["gradients"].copy()
    for part in draws[1:]:
        total += part["gradients"]
    total /= np.float32(len(draws))
    return total


def _products_of_draws(draws: LevelDraws, sketches: LevelSketch) -> Tensors:
    """Multiply sketched draws of one clip, and each draw with the golden clips.

    Exact squared norms, where they are known, replace sketched ones.

    Args:
        draws: The draws of a level.
        sketches: What they were reduced to.

    Returns:
        ``draws``, ``toward`` and, of unpaired clips, ``others_draws`` and
        ``others_toward``, as in `LevelGram`.
    """
    golden = sketches.values[0].astype(np.float64)
    total = golden.sum(0)
    parts: dict[str, list[np.ndarray]] = {}
    for row, read in enumerate(draws):
        paired = row < draws.paired
        values = np.stack([part["gradients"] for part in read], 1).astype(np.float64)
        norms = np.stack([part["norms"] for part in read], 1)  # [versions, draws, G]
        rest = total - golden[row] if paired else total
        products, toward = [], []
        for index, (start, stop) in enumerate(sketches.groups.values()):
            block = values[..., start:stop]
            product = np.matmul(block, block.swapaxes(-1, -2))
            exact = norms[..., index]
            diagonal = np.einsum("crr->cr", product)  # a view
            diagonal[...] = np.where(np.isfinite(exact), exact, diagonal)
            products.append(product if paired else product[0])
            along = block @ rest[start:stop]
            toward.append(along if paired else along[0])
        before = "" if paired else "others_"
        parts.setdefault(f"{before}draws", []).append(np.stack(products))
        parts.setdefault(f"{before}toward", []).append(np.stack(toward))
    # Groups in front, then versions where there are several, then clips.
    return {
        name: np.stack(some, 1 if name.startswith("others") else 2)
        for name, some in parts.items()
    }
