"""Gram matrices: the inner products of gradients that the statistics need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.gradients.level_sketch import LevelSketch

Columns = Callable[[int, int], np.ndarray]
# Gradients of at most so many entries are kept in full for products between levels.
EXACT_UP_TO = 8192


@dataclass(frozen=True)
class LevelGram:
    """Inner products of the gradients at one noise level, per module group.

    Attributes:
        groups: Names of the module groups.
        products: ``[groups, versions, clips, versions, clips]``, float64: products
            of per-clip gradients, each the mean over the clip's noise draws.
        draws: ``[groups, versions, clips, draws, draws]``, float64: products of the
            draws of one clip and version, for the split of variance.
        losses: ``[clips, draws, versions]``.
        toward: ``[groups, versions, clips, draws]``: product of each draw with the
            sum of the golden gradients of all *other* clips.
        folded: ``[versions, clips, D]``, float32: the gradients of all groups side by
            side, for products between levels; in full up to `EXACT_UP_TO` entries,
            sketched above.
        others: ``[groups, unpaired, versions, clips]``: products of unpaired clips
            with paired ones.
        among: ``[groups, unpaired, unpaired]``: products of unpaired clips.
        others_draws: ``[groups, unpaired, draws, draws]``: as `draws`, unpaired.
        others_toward: ``[groups, unpaired, draws]``: product with the sum over all
            golden clips.
        others_folded: ``[unpaired, D]``: as `folded`, unpaired.
        splits: ``[groups, S, versions, versions]``: means of products over pairs of
            different clips, by each part of the sketch alone; None for exact products.
        sketch: The sketches that `folded` comes from, and `products` where `splits` is
            not None; not stored again.
    """

    groups: tuple[str, ...]
    products: np.ndarray
    draws: np.ndarray
    losses: np.ndarray
    toward: np.ndarray | None = None
    folded: np.ndarray | None = None
    others: np.ndarray | None = None
    among: np.ndarray | None = None
    others_draws: np.ndarray | None = None
    others_toward: np.ndarray | None = None
    others_folded: np.ndarray | None = None
    splits: np.ndarray | None = None
    sketch: LevelSketch | None = None

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the content as arrays by name.

        Returns:
            What `of_tensors` takes.
        """
        names = np.frombuffer("\n".join(self.groups).encode(), dtype=np.uint8)
        held = {
            key: value
            for key, value in vars(self).items()
            if key not in ("groups", "sketch") and value is not None
        }
        return {"groups": names, **held}

    @staticmethod
    def of_tensors(tensors: dict[str, np.ndarray]) -> LevelGram:
        """Rebuild the matrices from arrays.

        Args:
            tensors: What `tensors` returned.

        Returns:
            The matrices.
        """
        names = tuple(tensors["groups"].tobytes().decode().split("\n"))
        held: dict[str, Any] = {k: v for k, v in tensors.items() if k != "groups"}
        return LevelGram(names, **held)

    def all_groups(self) -> LevelGram:
        """Sum over the module groups: products of concatenated gradients.

        Returns:
            Matrices with the one group ``all``.
        """
        added: dict[str, Any] = {
            key: value if key in UNGROUPED else value.sum(0, keepdims=True)
            for key, value in vars(self).items()
            if key not in ("groups", "sketch") and value is not None
        }
        if self.sketch is not None:
            joined = self.sketch.all_groups()
            added |= {"sketch": joined, "folded": joined.values}
            if joined.others is not None:
                added["others_folded"] = joined.others
        return LevelGram(("all",), **added)


UNGROUPED = ("losses", "folded", "others_folded")
OF_UNPAIRED = ("others", "among", "others_draws", "others_toward")


def gram_from_columns(
    columns: Columns,
    groups: dict[str, tuple[int, int]],
    losses: np.ndarray,
    width: int,
    unpaired: Columns | None = None,
) -> LevelGram:
    """Compute Gram matrices from full gradients, read in blocks of columns.

    Args:
        columns: Reads gradients ``[versions, clips, draws, stop - start]``.
        groups: Start and stop in the flat gradient by module group.
        losses: Losses ``[clips, draws, versions]``.
        width: Columns in memory at once.
        unpaired: Reads gradients of unpaired clips ``[M, draws, stop - start]``.

    Returns:
        The level's Gram matrices, summed in float64. `folded` is None for gradients of
        more than `EXACT_UP_TO` entries.
    """
    clips, _, versions = losses.shape
    size = max(stop for _, stop in groups.values())
    found: dict[str, list[np.ndarray]] = {}
    folded: np.ndarray | None = None
    for start, stop in groups.values():
        sums: dict[str, np.ndarray] = {}
        for at in range(start, stop, width):
            end = min(at + width, stop)
            block = columns(at, end).astype(np.float64, copy=False)
            extra = (
                np.empty((0, block.shape[2], end - at))
                if unpaired is None
                else unpaired(at, end).astype(np.float64, copy=False)
            )
            mean = block.mean(2) if block.shape[2] > 1 else block[:, :, 0]
            flat = mean.reshape(versions * clips, -1)
            alone = extra.mean(1)
            total = mean[0].sum(0)
            own = np.matmul(block, mean[0][..., None])[..., 0]
            parts = {
                "products": flat @ flat.T,
                "draws": np.matmul(block, block.swapaxes(-1, -2)),
                "toward": block @ total - own,
                "others": alone @ flat.T,
                "among": alone @ alone.T,
                "others_draws": np.matmul(extra, extra.swapaxes(-1, -2)),
                "others_toward": extra @ total,
            }
            sums = {key: sums.get(key, 0.0) + part for key, part in parts.items()}
            if size <= EXACT_UP_TO:
                rows = np.concatenate([flat, alone])
                if folded is None:
                    folded = np.zeros((len(rows), size), np.float32)
                folded[:, at:end] = rows
        for key, value in sums.items():
            found.setdefault(key, []).append(value)
    stacked: dict[str, Any] = {key: np.stack(parts) for key, parts in found.items()}
    shape = (len(groups), versions, clips, versions, clips)
    stacked["products"] = stacked["products"].reshape(shape)
    stacked["others"] = stacked["others"].reshape(len(groups), -1, versions, clips)
    some = stacked["others"].shape[1] > 0
    if not some:
        stacked = {k: v for k, v in stacked.items() if k not in OF_UNPAIRED}
    if folded is not None:
        paired = versions * clips
        stacked["folded"] = folded[:paired].reshape(versions, clips, -1)
        if some:
            stacked["others_folded"] = folded[paired:]
    return LevelGram(tuple(groups), losses=losses, **stacked)
