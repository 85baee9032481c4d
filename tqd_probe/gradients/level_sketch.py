"""The sketches of one noise level: Gram matrices of it, products with other levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.gradients.gram import LevelGram


@dataclass(frozen=True)
class LevelSketch:
    """Sketches of the per-clip gradients of one noise level.

    Sketches of one run share one random map, so that gradients of *different* levels
    can be multiplied too: that is what a mixture over class and level needs.

    Attributes:
        groups: Start and stop in the sketch by module group.
        splits: Parts of a group's numbers that are sketches by themselves.
        values: ``[conditions, clips, size]``, float32, the mean over a clip's draws.
    """

    groups: dict[str, tuple[int, int]]
    splits: int
    values: np.ndarray

    def products(self, other: LevelSketch) -> np.ndarray:
        """Multiply the gradients of two levels, clip by clip.

        Args:
            other: Another level, or this one.

        Returns:
            ``[groups, conditions, clips, conditions, clips]``, float64; unbiased, with
            the sketch's error. Rows are this level's. The group ``all`` is the sum.
        """
        shape = (*self.values.shape[:2], *other.values.shape[:2])
        found = []
        for start, stop in self.groups.values():
            a = self.values[..., start:stop].reshape(-1, stop - start)
            b = other.values[..., start:stop].reshape(-1, stop - start)
            found.append((a.astype(float) @ b.astype(float).T).reshape(shape))
        return np.stack(found)

    def pair_means(self, other: LevelSketch) -> np.ndarray:
        """Average the products of two levels over pairs of different clips.

        Where one level has fewer clips, the first clips of both are used. The work
        and the result do not grow with the square of the number of clips.

        Args:
            other: Another level, or this one.

        Returns:
            U-statistics ``[groups, splits, conditions, conditions]``, float64, one
            per part of the sketch: their mean over the parts is the estimate, their
            spread its error.
        """
        clips = min(self.values.shape[1], other.values.shape[1])
        found = []
        for start, stop in self.groups.values():
            a, b = (
                part.values[:, :clips, start:stop]
                .astype(np.float64)
                .reshape(len(part.values), clips, self.splits, -1)
                for part in (self, other)
            )
            pairs = np.einsum("csk,dsk->scd", a.sum(1), b.sum(1), optimize=True)
            own = np.einsum("cnsk,dnsk->scd", a, b, optimize=True)
            found.append(self.splits * (pairs - own) / (clips * (clips - 1)))
        return np.stack(found)

    def gram(self, draws: np.ndarray, losses: np.ndarray) -> LevelGram:
        """Compute the level's Gram matrices.

        Args:
            draws: Products of the draws of one clip ``[groups, conditions, clips,
                draws, draws]``. Their diagonal is exact where exact norms were kept,
                and so are then the squared norms of the clips' means.
            losses: Losses ``[clips, draws, conditions]``.

        Returns:
            The matrices.
        """
        products = self.products(self)
        for condition, clip in np.ndindex(*self.values.shape[:2]):
            own = draws[:, condition, clip].mean((-1, -2))
            products[:, condition, clip, condition, clip] = own
        return LevelGram(
            tuple(self.groups), products, draws, losses, self.pair_means(self)
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the content as arrays by name.

        Returns:
            What `of_tensors` takes.
        """
        names = np.frombuffer("\n".join(self.groups).encode(), dtype=np.uint8)
        spans = np.array(list(self.groups.values()), dtype=np.int64)
        splits = np.array([self.splits], dtype=np.int64)
        return {
            "groups": names,
            "spans": spans,
            "splits": splits,
            "values": self.values,
        }

    @staticmethod
    def of_tensors(tensors: dict[str, np.ndarray]) -> LevelSketch:
        """Rebuild the sketches from arrays.

        Args:
            tensors: What `tensors` returned.

        Returns:
            The sketches.
        """
        names = tensors["groups"].tobytes().decode().split("\n")
        spans = [(int(a), int(b)) for a, b in tensors["spans"]]
        return LevelSketch(
            dict(zip(names, spans)), int(tensors["splits"][0]), tensors["values"]
        )
