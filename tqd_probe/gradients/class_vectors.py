"""Gradients of the classes of one noise level, for products between two levels.

A mixture over class and level, and the map of golden at one level against a class at
another, need products of gradients of *different* levels. They are taken between one
vector per class and clip: the whole gradient where it is small, else its sketch, since
all levels of a run share one random map.

The vectors of a run of whole gradients are stored until its last level is done. Half
precision halves the bytes: rounding adds about ``1e-6 |a| |b|`` to a product, a
thousandth of what the sketch adds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tqd_probe.gradients.level_sketch import LevelSketch

# Gradients of at most so many entries are taken whole.
EXACT_UP_TO = 8192
HALF_TOP = 14  # the largest entry of a vector is stored below 2 ** HALF_TOP


@dataclass(frozen=True)
class ClassVectors:
    """Vectors of one noise level.

    Attributes:
        values: ``[classes, clips, D]``, float32: of golden and each class of degraded
            copies, the mean over the versions it pools and over the draws.
        others: ``[unpaired, D]``, float32: of unpaired clips; None without any.
        parts: Parts of the D numbers that are sketches by themselves; 1 for whole
            gradients.
    """

    values: np.ndarray
    others: np.ndarray | None = None
    parts: int = 1

    @staticmethod
    def of_sketch(sketch: LevelSketch, classes: Iterable[list[int]]) -> ClassVectors:
        """Pool the versions of sketched gradients.

        Args:
            sketch: The level's sketches.
            classes: The versions that each class pools.

        Returns:
            Vectors of `sketch.splits` parts.
        """
        return ClassVectors(
            pool_versions(sketch.joined(), classes),
            sketch.joined_others(),
            sketch.splits,
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the content as arrays by name; sketches in half precision.

        Returns:
            What `of_tensors` takes.
        """
        found = {"parts": np.array([self.parts], np.int64)}
        for name, rows in (("values", self.values), ("others", self.others)):
            if rows is None:
                continue
            if self.parts > 1:
                # A power of two: scaling rounds nothing, and nothing overflows.
                _, power = np.frexp(np.abs(rows).max(-1, keepdims=True))
                scale = np.ldexp(np.float32(1), HALF_TOP - np.maximum(power, -99))
                found[f"{name}_scale"] = scale.astype(np.float32)
                rows = (rows * scale).astype(np.float16)
            found[name] = rows
        return found

    @staticmethod
    def of_tensors(tensors: dict[str, np.ndarray]) -> ClassVectors:
        """Rebuild the vectors from arrays.

        Args:
            tensors: What `tensors` returned.

        Returns:
            The vectors, rounded as they were stored.
        """
        found: list[np.ndarray | None] = []
        for name in ("values", "others"):
            rows = tensors.get(name)
            if rows is not None and f"{name}_scale" in tensors:
                rows = rows.astype(np.float32) / tensors[f"{name}_scale"]
            found.append(rows)
        values, others = found
        assert values is not None
        return ClassVectors(values, others, int(tensors["parts"][0]))


def pool_versions(values: np.ndarray, classes: Iterable[list[int]]) -> np.ndarray:
    """Average the versions that each class pools.

    Args:
        values: ``[versions, ...]``.
        classes: Indices of versions.

    Returns:
        ``[classes, ...]``.
    """
    return np.stack([values[rows].mean(0, dtype=values.dtype) for rows in classes])
