"""The sketched gradients of one noise level, and their products."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tqd_probe.gradients.collision_error import Pairings, around, draw_pairings


@dataclass(frozen=True)
class LevelSketch:
    """Sketches of the per-clip gradients of one noise level.

    All levels of a run share one random map, so that gradients of *different* levels
    have products too (`class_vectors.py`).

    Attributes:
        groups: Start and stop in the sketch by module group.
        splits: Parts of a group's numbers that are sketches by themselves.
        values: ``[versions, clips, size]``, float32, the mean over a clip's draws.
        others: The same of unpaired clips ``[unpaired, size]``; None without any.
        entrywise: Entries of each module group that is count-sketched entry by entry,
            without projections.
    """

    groups: dict[str, tuple[int, int]]
    splits: int
    values: np.ndarray
    others: np.ndarray | None = None
    entrywise: dict[str, int] = field(default_factory=dict)

    def joined(self) -> np.ndarray:
        """Join the module groups part by part, so that each part stays a sketch.

        Returns:
            `values` with their numbers reordered: part after part, each of all groups.
        """
        return self._joined(self.values)

    def joined_others(self) -> np.ndarray | None:
        """Return `others` as `joined` does `values`.

        Returns:
            None without unpaired clips.
        """
        return None if self.others is None else self._joined(self.others)

    def _joined(self, values: np.ndarray) -> np.ndarray:
        parts = [
            values[..., start:stop].reshape(*values.shape[:-1], self.splits, -1)
            for start, stop in self.groups.values()
        ]
        return np.concatenate(parts, -1).reshape(values.shape)

    def products(self) -> np.ndarray:
        """Multiply the gradients, clip by clip.

        Returns:
            ``[groups, versions, clips, versions, clips]``, float64; unbiased, with
            the sketch's error. The group ``all`` is the sum.
        """
        shape = (*self.values.shape[:2], *self.values.shape[:2])
        found = []
        for start, stop in self.groups.values():
            rows = self.values[..., start:stop].reshape(-1, stop - start).astype(float)
            found.append((rows @ rows.T).reshape(shape))  # symmetric to the last digit
        return np.stack(found)

    def pair_means(self) -> np.ndarray:
        """Average the products over pairs of different clips.

        Returns:
            U-statistics ``[groups, splits, versions, versions]``, float64, as by each
            part of the sketch alone. Their mean over parts is the estimate, their
            spread its error. Parts of groups that are sketched entry by entry would
            differ by which entries they hold: theirs are made up (`collision_error`).
        """
        return np.stack([self._pairs(name) for name in self.groups])

    def _pairs(self, name: str) -> np.ndarray:
        """Average the products of one module group ``[splits, versions, versions]``."""
        start, stop = self.groups[name]
        rows = self.values[..., start:stop].astype(np.float64)
        clips = rows.shape[1]
        pairings = self._pairings(name)
        if pairings is not None:
            errors = [
                _unlike(rows, pairings.partners(rows, index))
                for index in range(self.splits)
            ]
            means = around(_unlike(rows, rows), np.array(errors))
            return means / (clips * (clips - 1))
        rows = rows.reshape(*rows.shape[:2], self.splits, -1)
        sums = rows.sum(1)
        pairs = np.einsum("csk,dsk->scd", sums, sums, optimize=True)
        own = np.einsum("cnsk,dnsk->scd", rows, rows, optimize=True)
        return np.asarray(self.splits * (pairs - own) / (clips * (clips - 1)))

    def _pairings(self, name: str) -> Pairings | None:
        """Return pairings of a group that is sketched entry by entry."""
        start, stop = self.groups[name]
        entries = self.entrywise.get(name, 0)
        return draw_pairings(stop - start, entries, self.splits) if entries else None

    def unpaired_pair_means(self, rows: list[int]) -> np.ndarray:
        """Average the products of an unpaired class as by each part of the sketch.

        Args:
            rows: Indices of the class's clips among the unpaired ones, at least two.

        Returns:
            ``[groups, 2, splits]``, float64: golden with the class, over all pairs; the
            class with itself, over pairs of different clips.
        """
        return np.stack([self._unpaired(rows, name) for name in self.groups])

    def _unpaired(self, rows: list[int], name: str) -> np.ndarray:
        """Average the products of an unpaired class in one module group."""
        assert self.others is not None
        start, stop = self.groups[name]
        golden, own = (
            part[:, start:stop].astype(np.float64)
            for part in (self.values[0], self.others[rows])
        )
        pairs = len(own) * (len(own) - 1)

        def means(other: np.ndarray) -> list[float]:
            total = other.sum(0)
            cross = golden.sum(0) @ total / (len(golden) * len(own))
            return [cross, (own.sum(0) @ total - (own * other).sum()) / pairs]

        pairings = self._pairings(name)
        if pairings is not None:
            errors = [means(pairings.partners(own, k)) for k in range(self.splits)]
            return around(np.array(means(own)), np.array(errors)).T
        golden, own = (x.reshape(len(x), self.splits, -1) for x in (golden, own))
        total = own.sum(0)
        cross = (golden.sum(0) * total).sum(-1) / (len(golden) * len(own))
        apart = (total**2).sum(-1) - (own**2).sum((0, 2))
        return self.splits * np.stack([cross, apart / pairs])

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
            "entrywise": np.array([self.entrywise.get(g, 0) for g in self.groups]),
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
        entries = tensors.get("entrywise", np.zeros(len(names)))  # not in old files
        return LevelSketch(
            dict(zip(names, spans)),
            int(tensors["splits"][0]),
            tensors["values"],
            tensors.get("others"),
            {name: int(n) for name, n in zip(names, entries) if n},
        )


def _unlike(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Sum products over pairs of different clips ``[versions, versions]``."""
    versions = len(rows)
    pairs = rows.sum(1) @ others.sum(1).T
    own = rows.reshape(versions, -1) @ others.reshape(versions, -1).T
    return np.asarray(pairs - own)
