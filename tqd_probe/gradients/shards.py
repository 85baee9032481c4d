"""Reduce the shards of one noise level to sketches and products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from tqd_probe.core.tensor_files import Tensors
from tqd_probe.gradients.gram import LevelGram, gram_from_columns
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.level_sketch import LevelSketch
from tqd_probe.gradients.sketch import SPLITS, Sketch
from tqd_probe.gradients.sketched_gram import sketched_gram

BLOCK = 1 << 24  # gradient entries held in memory at once, in float64: 128 MiB


@dataclass(frozen=True)
class Shards:
    """The shards of one level.

    Attributes:
        paths: A file per clip and draw: paired clips first, then unpaired ones.
        clips: Number of paired clips.
        read: Reads and checks the shard of a row of `paths` and a draw.
    """

    paths: list[list[Path]]
    clips: int
    read: Callable[[int, int, Path], Tensors]

    def __iter__(self) -> Iterator[list[Tensors]]:
        """Read the shards of one clip after the other.

        Yields:
            The draws of a clip.
        """
        for row, draws in enumerate(self.paths):
            yield [self.read(row, draw, path) for draw, path in enumerate(draws)]


def reduce_shards(
    shards: Shards, layout: Layout, sketch: Sketch
) -> tuple[LevelSketch, Tensors]:
    """Reduce shards to sketches and to products.

    Args:
        shards: The shards of a level.
        layout: The parameters of full gradients.
        sketch: The sketch the shards have, or get now.

    Returns:
        Sketches of the clips; and products, of single draws for sketched shards, of all
        gradients for full ones. `gram_of` takes both.
    """
    losses: list[list[np.ndarray]] = []
    means: list[np.ndarray] = []
    sketched = False
    for row, read in enumerate(shards):
        mean = np.sum([part["gradients"] for part in read], axis=0)
        mean /= np.float32(len(read))
        sketched = "norms" in read[0]
        if not sketched:
            mean = sketch.of_flat(torch.from_numpy(mean)).numpy()
        means.append(mean)
        if row < shards.clips:
            losses.append([part["losses"] for part in read])
    others = [mean[0] for mean in means[shards.clips :]]
    found = LevelSketch(
        groups=sketch.groups,
        splits=SPLITS,
        values=np.stack(means[: shards.clips], 1),
        others=np.stack(others) if others else None,
    )
    loss = np.array(losses)
    if sketched:
        return found, {**_products_of_draws(shards, found), "losses": loss}
    return found, _full_products(shards, layout, loss)


def _full_products(shards: Shards, layout: Layout, losses: np.ndarray) -> Tensors:
    """Multiply full gradients, read in blocks of columns."""
    handles = [[safe_open(path, "np") for path in row] for row in shards.paths]
    clips, draws, versions = losses.shape
    unpaired = len(handles) - clips

    def columns(start: int, stop: int) -> np.ndarray:
        block = np.empty((versions, clips, draws, stop - start))
        for clip, draw in np.ndindex(clips, draws):
            part = handles[clip][draw].get_slice("gradients")
            block[:, clip, draw] = part[:, start:stop]
        return block

    def others(start: int, stop: int) -> np.ndarray:
        block = np.empty((unpaired, draws, stop - start))
        for clip, draw in np.ndindex(unpaired, draws):
            part = handles[clips + clip][draw].get_slice("gradients")
            block[clip, draw] = part[0, start:stop]
        return block

    width = max(1, BLOCK // (losses.size + unpaired * draws))
    return gram_from_columns(columns, layout.groups, losses, width, others).tensors()


def gram_of(sketches: LevelSketch, products: Tensors) -> LevelGram:
    """Return a level's Gram matrices: as stored, or computed from the sketches.

    Args:
        sketches: A level's sketches.
        products: Its products.

    Returns:
        The matrices.
    """
    if "products" not in products:
        return sketched_gram(sketches, **products)
    gram = LevelGram.of_tensors(products)
    if gram.folded is not None:
        return gram
    return replace(
        gram, folded=sketches.values, others_folded=sketches.others, sketch=sketches
    )


def _products_of_draws(shards: Shards, sketches: LevelSketch) -> Tensors:
    """Multiply sketched draws of one clip, and each draw with the golden clips.

    Exact squared norms, where they are known, replace sketched ones.

    Args:
        shards: The shards of a level.
        sketches: What they were reduced to.

    Returns:
        ``draws``, ``toward`` and, of unpaired clips, ``others_draws`` and
        ``others_toward``, as in `LevelGram`.
    """
    golden = sketches.values[0].astype(np.float64)
    total = golden.sum(0)
    parts: dict[str, list[np.ndarray]] = {}
    for row, read in enumerate(shards):
        paired = row < shards.clips
        values = np.stack([part["gradients"] for part in read], 1).astype(np.float64)
        norms = np.stack([part["norms"] for part in read], 1)  # [versions, draws, G]
        rest = total - golden[row] if paired else total
        draws, toward = [], []
        for index, (start, stop) in enumerate(sketches.groups.values()):
            block = values[..., start:stop]
            product = np.matmul(block, block.swapaxes(-1, -2))
            exact = norms[..., index]
            diagonal = np.einsum("crr->cr", product)  # a view
            diagonal[...] = np.where(np.isfinite(exact), exact, diagonal)
            draws.append(product if paired else product[0])
            along = block @ rest[start:stop]
            toward.append(along if paired else along[0])
        before = "" if paired else "others_"
        parts.setdefault(f"{before}draws", []).append(np.stack(draws))
        parts.setdefault(f"{before}toward", []).append(np.stack(toward))
    # Groups in front, then versions where there are several, then clips.
    return {
        name: np.stack(some, 1 if name.startswith("others") else 2)
        for name, some in parts.items()
    }
