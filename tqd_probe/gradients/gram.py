"""Gram matrices: all inner products the statistics need, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Columns = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class LevelGram:
    """Inner products of the gradients at one noise level, per module group.

    Attributes:
        groups: Names of the module groups.
        products: ``[groups, conditions, clips, conditions, clips]``, float64: products
            of per-clip gradients, each the mean over the clip's noise draws.
        draws: ``[groups, conditions, clips, draws, draws]``, float64: products of the
            draws of one clip and condition, for the split of variance.
        losses: ``[clips, draws, conditions]``.
        splits: For sketched gradients ``[groups, splits, conditions, conditions]``,
            float64: the mean product over pairs of different clips, from each part of
            the sketch alone; how they disagree is the sketch's error. None for exact
            gradients.
    """

    groups: tuple[str, ...]
    products: np.ndarray
    draws: np.ndarray
    losses: np.ndarray
    splits: np.ndarray | None = None

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the content as arrays by name.

        Returns:
            What `of_tensors` takes.
        """
        names = np.frombuffer("\n".join(self.groups).encode(), dtype=np.uint8)
        return {
            "groups": names,
            "products": self.products,
            "draws": self.draws,
            "losses": self.losses,
            **({} if self.splits is None else {"splits": self.splits}),
        }

    @staticmethod
    def of_tensors(tensors: dict[str, np.ndarray]) -> LevelGram:
        """Rebuild the matrices from arrays.

        Args:
            tensors: What `tensors` returned.

        Returns:
            The matrices.
        """
        return LevelGram(
            tuple(tensors["groups"].tobytes().decode().split("\n")),
            tensors["products"],
            tensors["draws"],
            tensors["losses"],
            tensors.get("splits"),
        )

    def all_groups(self) -> LevelGram:
        """Add the module groups up: gradients side by side have summed products.

        Returns:
            Matrices with the one group ``all``.
        """
        return LevelGram(
            ("all",),
            self.products.sum(0, keepdims=True),
            self.draws.sum(0, keepdims=True),
            self.losses,
            None if self.splits is None else self.splits.sum(0, keepdims=True),
        )


def reduce_level(
    columns: Columns,
    groups: dict[str, tuple[int, int]],
    losses: np.ndarray,
    width: int,
) -> LevelGram:
    """Compute Gram matrices from gradients read in blocks of columns.

    Args:
        columns: Gives gradients ``[conditions, clips, draws, stop - start]``.
        groups: Start and stop in the flat gradient by module group.
        losses: Losses ``[clips, draws, conditions]``.
        width: Columns to hold at once; bounds the memory.

    Returns:
        The level's Gram matrices, summed in float64.
    """
    products, within = [], []
    for start, stop in groups.values():
        total: np.ndarray | float = 0.0
        inner: np.ndarray | float = 0.0
        for at in range(start, stop, width):
            block = columns(at, min(stop, at + width)).astype(np.float64, copy=False)
            mean = block.mean(2) if block.shape[2] > 1 else block[:, :, 0]
            flat = mean.reshape(-1, mean.shape[-1])
            total = total + flat @ flat.T
            inner = inner + np.matmul(block, block.swapaxes(-1, -2))
        conditions, clips = block.shape[:2]
        products.append(np.reshape(total, (conditions, clips, conditions, clips)))
        within.append(np.asarray(inner))
    return LevelGram(tuple(groups), np.stack(products), np.stack(within), losses)
