"""Gram matrices: the inner products of gradients that the statistics need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Columns = Callable[[int, int], np.ndarray]
BLOCK = 1 << 20  # gradient entries at once: what a core's caches hold


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
        others: ``[groups, unpaired, versions, clips]``: products of unpaired clips
            with paired ones.
        among: ``[groups, unpaired, unpaired]``: products of unpaired clips.
        others_draws: ``[groups, unpaired, draws, draws]``: as `draws`, unpaired.
        others_toward: ``[groups, unpaired, draws]``: product with the sum over all
            golden clips.
        splits: ``[groups, S, versions, versions]``: means of products over pairs of
            different clips, by each part of the sketch alone; None for exact products.
        others_splits: ``[groups, classes, 2, S]``: the same of each class of unpaired
            clips: golden with the class, and the class with itself.
    """

    groups: tuple[str, ...]
    products: np.ndarray
    draws: np.ndarray
    losses: np.ndarray
    toward: np.ndarray | None = None
    others: np.ndarray | None = None
    among: np.ndarray | None = None
    others_draws: np.ndarray | None = None
    others_toward: np.ndarray | None = None
    splits: np.ndarray | None = None
    others_splits: np.ndarray | None = None

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the content as arrays by name; products without their mirror image.

        Returns:
            What `of_tensors` takes.
        """
        names = np.frombuffer("\n".join(self.groups).encode(), dtype=np.uint8)
        held = {
            key: value
            for key, value in vars(self).items()
            if key != "groups" and value is not None
        }
        count = self.products.shape[1] * self.products.shape[2]
        square = self.products.reshape(len(self.groups), count, count)
        upper, lower = np.triu_indices(count)
        held["products"] = square[:, upper, lower]
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
        clips, _, versions = tensors["losses"].shape
        count = versions * clips
        square = np.empty((len(names), count, count))
        upper, lower = np.triu_indices(count)
        square[:, upper, lower] = square[:, lower, upper] = tensors["products"]
        held["products"] = square.reshape(-1, versions, clips, versions, clips)
        return LevelGram(names, **held)

    def all_groups(self) -> LevelGram:
        """Sum over the module groups: products of concatenated gradients.

        Returns:
            Matrices with the one group ``all``.
        """
        added: dict[str, Any] = {
            key: value if key == "losses" else value.sum(0, keepdims=True)
            for key, value in vars(self).items()
            if key != "groups" and value is not None
        }
        return LevelGram(("all",), **added)


def gram_from_columns(
    columns: Columns,
    groups: dict[str, tuple[int, int]],
    losses: np.ndarray,
    width: int | None = None,
    unpaired: Columns | None = None,
) -> LevelGram:
    """Compute Gram matrices from full gradients, read in blocks of columns.

    Blocks are multiplied in the type of the gradients and summed in float64: a few
    thousand float32 products are summed to 1e-6 of the norms, far below the spread over
    clips, in half the time of float64 ones.

    Args:
        columns: Reads gradients ``[versions, clips, draws, stop - start]``; fastest
            where clips are outermost in memory.
        groups: Start and stop in the flat gradient by module group.
        losses: Losses ``[clips, draws, versions]``.
        width: Columns in memory at once; by default `BLOCK` entries of paired clips.
        unpaired: Reads gradients of unpaired clips ``[M, draws, stop - start]``.

    Returns:
        The level's Gram matrices, in float64.
    """
    width = width or max(1, BLOCK // losses.size)
    found: dict[str, list[np.ndarray]] = {}
    for start, stop in groups.values():
        sums: dict[str, np.ndarray] = {}
        for at in range(start, stop, width):
            end = min(at + width, stop)
            extra = None if unpaired is None else unpaired(at, end)
            for key, part in _block_products(columns(at, end), extra).items():
                sums[key] = sums.get(key, 0.0) + part.astype(np.float64, copy=False)
        for key, value in sums.items():
            found.setdefault(key, []).append(value)
    stacked: dict[str, Any] = {key: np.stack(parts) for key, parts in found.items()}
    clips, _, versions = losses.shape
    shape = (len(groups), clips, versions, clips, versions)
    stacked["products"] = _versions_in_front(stacked["products"].reshape(shape))
    if "others" in stacked:
        others = stacked["others"].reshape(len(groups), -1, clips, versions)
        stacked["others"] = np.ascontiguousarray(others.swapaxes(2, 3))
    return LevelGram(tuple(groups), losses=losses, **stacked)


def _block_products(
    block: np.ndarray, extra: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Multiply a block of columns: clips in front, then versions.

    Args:
        block: Gradients of paired clips ``[versions, clips, draws, columns]``.
        extra: Those of unpaired clips ``[M, draws, columns]``.

    Returns:
        Products as in `LevelGram`; those of clips as matrices.
    """
    versions, clips, draws, columns = block.shape
    rows = block.swapaxes(0, 1).reshape(clips, versions * draws, columns)
    single = rows.reshape(clips, versions, draws, columns)
    mean = single[:, :, 0].copy()
    for draw in range(1, draws):  # faster than a sum over a short axis
        mean += single[:, :, draw]
    mean /= draws
    flat = mean.reshape(clips * versions, columns)
    total = mean[:, 0].sum(0)
    # By torch, whose number of threads the run sets: NumPy's library takes every core,
    # also those that capturing the next level needs, and waits for them in a loop.
    each, means = torch.from_numpy(rows), torch.from_numpy(flat)
    # Of one clip: every draw with every draw, from which its own products come.
    within = torch.bmm(each, each.transpose(1, 2)).numpy()
    within = within.reshape(clips, versions, draws, versions, draws)
    rows_of_all = each.reshape(-1, columns)
    along = torch.mv(rows_of_all, torch.from_numpy(total)).numpy()
    along = along.reshape(clips, versions, draws)
    index = np.arange(versions)
    found = {
        "products": (means @ means.T).numpy(),
        "draws": within[:, index, :, index].copy(),
        "toward": (along - within[:, :, :, 0].mean(-1)).swapaxes(0, 1).copy(),
    }
    if extra is None or not len(extra):
        return found
    alone = torch.from_numpy(extra.mean(1))
    return found | {
        "others": (alone @ means.T).numpy(),
        "among": (alone @ alone.T).numpy(),
        "others_draws": np.matmul(extra, extra.swapaxes(-1, -2)),
        "others_toward": extra @ total,
    }


def _versions_in_front(products: np.ndarray) -> np.ndarray:
    """Reorder products ``[groups, clips, versions, clips, versions]``."""
    return np.ascontiguousarray(products.transpose(0, 2, 1, 4, 3))
