"""The sketched gradients of one noise level, and products between two levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LevelSketch:
    """Sketches of the per-clip gradients of one noise level.

    All levels of a run share one random map, so that gradients of *different* levels
    have products too. A mixture over class and level needs them.

    Attributes:
        groups: Start and stop in the sketch by module group.
        splits: Parts of a group's numbers that are sketches by themselves.
        values: ``[versions, clips, size]``, float32, the mean over a clip's draws.
        others: The same of unpaired clips ``[unpaired, size]``; None without any.
    """

    groups: dict[str, tuple[int, int]]
    splits: int
    values: np.ndarray
    others: np.ndarray | None = None

    def all_groups(self) -> LevelSketch:
        """Join the module groups part by part, so that each part stays a sketch.

        Returns:
            Sketches with the one group ``all``; their numbers are reordered.
        """

        def joined(values: np.ndarray) -> np.ndarray:
            parts = [
                values[..., start:stop].reshape(*values.shape[:-1], self.splits, -1)
                for start, stop in self.groups.values()
            ]
            return np.concatenate(parts, -1).reshape(values.shape)

        return LevelSketch(
            {"all": (0, self.values.shape[-1])},
            self.splits,
            joined(self.values),
            None if self.others is None else joined(self.others),
        )

    def products(self, other: LevelSketch) -> np.ndarray:
        """Multiply the gradients of two levels, clip by clip.

        Args:
            other: Another level, or this one.

        Returns:
            ``[groups, versions, clips, versions, clips]``, float64; unbiased, with
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

        Where one level has fewer clips, the first clips of both are used. Time and
        memory are linear in the number of clips.

        Args:
            other: Another level, or this one.

        Returns:
            U-statistics ``[groups, splits, versions, versions]``, float64, one per
            part of the sketch. Their mean over parts is the estimate, their spread
            its error.
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

    def unpaired_pair_means(self, group: int, rows: list[int]) -> np.ndarray:
        """Average the products of an unpaired class by each part of the sketch.

        Args:
            group: Index of the module group.
            rows: Indices of the class's clips among the unpaired ones, at least two.

        Returns:
            ``[2, splits]``, float64: golden with the class, over all pairs; the class
            with itself, over pairs of different clips.
        """
        assert self.others is not None
        start, stop = list(self.groups.values())[group]
        golden, own = (
            part[:, start:stop].astype(np.float64).reshape(len(part), self.splits, -1)
            for part in (self.values[0], self.others[rows])
        )
        total = own.sum(0)
        cross = (golden.sum(0) * total).sum(-1) / (len(golden) * len(own))
        apart = (total**2).sum(-1) - (own**2).sum((0, 2))
        return self.splits * np.stack([cross, apart / (len(own) * (len(own) - 1))])

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
            **({} if self.others is None else {"others": self.others}),
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
            dict(zip(names, spans)),
            int(tensors["splits"][0]),
            tensors["values"],
            tensors.get("others"),
        )
