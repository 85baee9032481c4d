"""A linear random sketch of gradients: few numbers that preserve inner products.

Each parameter has a random linear map, fixed by its name, into the numbers of its
module group, so that ``E <S a, S b> = <a, b>`` for any gradients a and b:

- *Count-sketch* (Charikar, Chen and Farach-Colton, 2002) for vectors and small
  matrices: each entry gets a random sign and is added to one of m numbers
  (`count_sketch.py`). The variance of ``<S a, S b>`` is about
  ``(|a|^2 |b|^2 + <a, b>^2) / m``.
- *One-sided rows* for large matrices: row r is ``z_r = p_r^T dW`` with random signs
  p_r, then count-sketched, each row by itself. Since ``dW = sum_t g_t x_t^T``, the row
  is ``sum_t (p_r . g_t) x_t``: the weight gradient is never formed. R rows add a
  variance of about ``|a|^2 |b|^2 / (R s)`` at stable rank s.

The numbers are divided among the module groups, and rows among the layers, by where
the gradient is, as `gradient_energy.py` measures it: ``sum_g (|a_g| |b_g|)^2 / m_g`` is
least at ``m_g`` in proportion to ``|a_g| |b_g|`` (Neyman, 1934). The sum over all
groups is then as exact as one sketch of the full gradient.

`analyses/cost/sketch_choice.py` compares time and error with other sketches. The
numbers of a group form `SPLITS` parts that are sketches by themselves; their spread
measures the sketch's own error.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tqd_probe.core.errors import InputError
from tqd_probe.core.rng import stream
from tqd_probe.gradients.count_sketch import CyclicCountSketch, Workspace, largest_prime
from tqd_probe.gradients.layout import Layout

SEED = 0
SPLITS = 16
ROWS = 16  # rows come in multiples of this, so that all parts have as many
ROW_VARIANCE = 4e-4  # of a product, relative to |a|^2 |b|^2, at stable rank 1
MOST_FORMED = 1 << 22  # entries: larger layers are never formed for the sketch
MOST_ROWS = 1024
UNMEASURED_ROWS = 2 * ROWS  # rows of a layer in a block where shares were not measured
OUTSIDE_FACTOR = 8  # times as many for a layer outside the blocks
EQUAL_SHARE = 0.25  # of the numbers are divided equally, whatever the groups' energies
DEFAULT_SIZE = 49_152  # 1 MB for five versions of a clip
MOST_SMALL = 1 << 10  # entries: parameters with no more are counted together


class Sketch:
    """The random map of one layout: which numbers each parameter adds to.

    Attributes:
        groups: Start and stop of each module group's numbers.
        size: Numbers per gradient.
        asked: Numbers that were asked for; `size` is at most these.
    """

    def __init__(
        self,
        layout: Layout,
        size: int = DEFAULT_SIZE,
        energy: dict[str, float] | None = None,
    ) -> None:
        """Divide the numbers among the module groups.

        Args:
            layout: The parameters.
            size: Numbers per gradient; the sketch takes at most these, each group
                ``SPLITS`` times a prime.
            energy: Share of the squared gradient norm of each parameter, as
                `gradient_energy.measure_energy` gives it. None: groups get equal
                numbers, layers equal rows, and those outside the blocks more.

        Raises:
            InputError: If that leaves a group without numbers.
        """
        count = len(layout.groups)
        if size < SPLITS * count:
            raise InputError(
                f"--sketch {size}: too small for {count} module groups;"
                f" give at least {SPLITS * count}, or exact"
            )
        self.layout, self.asked, self.energy = layout, size, energy
        spans = list(layout.groups.values())
        self._group = {
            parameter: next(i for i, (a, b) in enumerate(spans) if a <= start < b)
            for parameter, (start, _) in layout.parameters.items()
        }
        shares = np.full(count, 1 / count)
        if energy is not None:
            parts = np.zeros(count)
            for parameter, value in energy.items():
                parts[self._group[parameter]] += value
            shares = EQUAL_SHARE / count + (1 - EQUAL_SHARE) * parts / parts.sum()
        free = size // SPLITS - count  # every group has at least one per part
        self._widths = [largest_prime(1 + int(free * share + 1e-9)) for share in shares]
        ends = [SPLITS * int(n) for n in np.cumsum([0, *self._widths])]
        self.groups = dict(zip(layout.groups, itertools.pairwise(ends)))
        self.size = ends[-1]
        self._starts = ends
        self._rows = {name: self._choose_rows(name) for name in layout.parameters}
        self._small: dict[int, list[str]] = {}
        for name, shape in layout.shapes.items():
            if not self._rows[name] and math.prod(shape) <= MOST_SMALL:
                self._small.setdefault(self._group[name], []).append(name)
        self._signs: dict[str, Tensor] = {}
        self._count_sketches: dict[str, CyclicCountSketch] = {}
        self._workspace = Workspace()

    def rows(self, name: str) -> int:
        """Return the number of one-sided rows of a parameter.

        Args:
            name: Parameter name.

        Returns:
            Rows; 0 where the parameter is count-sketched entry by entry.
        """
        return self._rows[name]

    def _choose_rows(self, name: str) -> int:
        """Choose rows by the size of a layer and its share of the gradient."""
        shape = self.layout.shapes[name]
        if len(shape) < 2:
            return 0
        out, into = shape[0], math.prod(shape[1:])
        if self.energy is None:
            inside = re.search(r"(^|\.)\d+\.", name)
            rows = UNMEASURED_ROWS if inside else UNMEASURED_ROWS * OUTSIDE_FACTOR
        else:  # least rows for a variance of sum_l share_l^2 / rows_l: rows_l ~ share_l
            share = self.energy[name] / ROW_VARIANCE
            rows = ROWS * max(1, math.ceil(share / ROWS - 1e-9))
        if 2 * rows * (out + into) <= out * into:
            return rows
        if out * into <= MOST_FORMED:
            return 0
        return min(MOST_ROWS, out * into // (2 * (out + into)) // ROWS * ROWS)

    def group_of(self, name: str) -> int:
        """Return the index of a parameter's module group.

        Args:
            name: Parameter name.

        Returns:
            Index into `groups`.
        """
        return self._group[name]

    def signs(self, name: str, like: Tensor) -> Tensor:
        """Return the signs of the one-sided rows.

        Args:
            name: Parameter name, with rows.
            like: Gives device and dtype.

        Returns:
            ``[out, rows]``, +1 or -1 over the root of the rows.
        """
        found = self._signs.get(name)
        if found is None or not _alike(found, like):
            out, rows = self.layout.shapes[name][0], self.rows(name)
            found = _random_signs("sketch rows", name, (out, rows), like)
            self._signs[name] = found = found / math.sqrt(rows)
        return found

    def blank(self, gradients: int, dtype: torch.dtype, device: Any) -> Tensor:
        """Allocate sketches.

        Args:
            gradients: Number of gradients B.
            dtype: Type of sums.
            device: Where they are summed.

        Returns:
            Zeros ``[B, size]``.
        """
        return torch.zeros((gradients, self.size), dtype=dtype, device=device)

    def entries(self, name: str, gradients: Tensor) -> Tensor:
        """Return the entries of a parameter's gradients that are count-sketched.

        Args:
            name: Parameter name.
            gradients: ``[B, *shape]``.

        Returns:
            All entries, or those of the one-sided rows, ``[B, n]``.
        """
        if not self.rows(name):
            return gradients.reshape(len(gradients), -1)
        matrix = gradients.reshape(len(gradients), gradients.shape[1], -1)
        signs = self.signs(name, matrix)
        return torch.matmul(signs.t(), matrix).flatten(1)

    def entries_of_factors(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        """Return the rows of ``sum_t left_t right_t^T`` without forming it.

        Args:
            name: Parameter name, with rows.
            left: ``[B, tokens, out]``.
            right: ``[B, tokens, in]``.

        Returns:
            ``[B, rows * in]``.
        """
        mixed = torch.matmul(left, self.signs(name, left))
        return torch.bmm(mixed.transpose(1, 2), right).flatten(1)

    def small(self, name: str) -> bool:
        """Return whether a parameter is sketched together with other small ones.

        Args:
            name: Parameter name.

        Returns:
            True: `count_small` takes it; False: `count` does.
        """
        return (
            not self._rows[name] and math.prod(self.layout.shapes[name]) <= MOST_SMALL
        )

    def count(self, name: str, entries: Tensor, into: Tensor) -> None:
        """Add the entries of a parameter to the sketches.

        Args:
            name: Parameter name; not a small one.
            entries: What `entries` or `entries_of_factors` returned ``[B, n]``.
            into: Sketches ``[B, size]``, added to.
        """
        rows = self.rows(name)
        lines = rows or self.layout.shapes[name][0]
        shape = lines, entries.shape[1] // lines
        found = self._count_sketch(name, shape, self._group[name], rows, into)
        found.add(entries, into, self._workspace)

    def count_small(self, parts: dict[str, Tensor], into: Tensor) -> list[Tensor]:
        """Add the entries of all small parameters, those of a group in one addition.

        Args:
            parts: Entries ``[B, n]`` by parameter; zero for those that are missing.
            into: Sketches ``[B, size]``, added to.

        Returns:
            Squared norms ``[B]`` of what was added, by group.
        """
        squares = [into.new_zeros(len(into)) for _ in self._widths]
        for group, names in self._small.items():
            sizes = (math.prod(self.layout.shapes[name]) for name in names)
            rows = torch.cat(
                [
                    parts[name] if name in parts else into.new_zeros(len(into), size)
                    for name, size in zip(names, sizes)
                ],
                1,
            )
            label = f"small {list(self.layout.groups)[group]}"
            found = self._count_sketch(label, (1, rows.shape[1]), group, 0, into)
            found.add(rows, into, self._workspace)
            squares[group] = torch.linalg.vector_norm(rows, dim=1).square()
        return squares

    def _count_sketch(
        self, label: str, shape: tuple[int, int], group: int, rows: int, like: Tensor
    ) -> CyclicCountSketch:
        """Return the count-sketch of a parameter; drawn once, from its own streams."""
        found = self._count_sketches.get(label)
        if found is not None and _alike(found.signs, like):
            return found
        start, width = self._starts[group], self._widths[group]
        blocks = -(-rows // SPLITS) or 1
        rng = stream(SEED, "sketch starts", label)
        begins = rng.integers(0, width * (1 if rows else SPLITS), blocks)
        self._count_sketches[label] = found = CyclicCountSketch(
            signs=_random_signs("sketch entries", label, shape, like),
            starts=[int(begin) for begin in begins],
            span=(start, start + SPLITS * width),
            shape=(SPLITS, width),
            by_rows=rows > 0,
        )
        return found

    def of_flat(self, gradients: Tensor) -> Tensor:
        """Sketch full gradients.

        Args:
            gradients: ``[B, layout.size]``.

        Returns:
            ``[B, size]``, in the type of the gradients.
        """
        parts = {}
        for name, (start, stop) in self.layout.parameters.items():
            shape = self.layout.shapes[name]
            parts[name] = gradients[:, start:stop].reshape(-1, *shape)
        return self.of_parts(parts)

    def of_parts(self, gradients: dict[str, Tensor]) -> Tensor:
        """Sketch gradients given by parameter.

        Args:
            gradients: ``[B, *shape]`` by parameter, at least one.

        Returns:
            ``[B, size]``, in the type of the gradients.
        """
        like = next(iter(gradients.values()))
        found = self.blank(len(like), like.dtype, like.device)
        for name, value in gradients.items():
            if not self.small(name):
                self.count(name, self.entries(name, value), found)
        small = {n: v.flatten(1) for n, v in gradients.items() if self.small(n)}
        self.count_small(small, found)
        return found


def _random_signs(use: str, label: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Draw +1 and -1 from the stream of a parameter."""
    bits = stream(SEED, use, label).integers(0, 2, shape, dtype=np.int8)
    return torch.from_numpy(bits).to(like) * 2 - 1


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.device == other.device and one.dtype == other.dtype
