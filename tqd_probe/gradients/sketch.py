"""A linear random sketch of gradients: few numbers that preserve inner products.

Each parameter has a random linear map, fixed by its name, into the numbers of its
module group, so that ``E <S a, S b> = <a, b>`` for any gradients a and b:

- *Count-sketch* (`count_sketch.py`) for vectors and small matrices. The variance of
  ``<S a, S b>`` is about ``(|a|^2 |b|^2 + <a, b>^2) / m`` for m numbers.
- *One-sided projection* for large matrices: ``dW Q`` with a matrix Q of k columns of
  random signs, then count-sketched, each column by itself. Since
  ``dW = sum_t g_t x_t^T``, it is ``sum_t g_t (Q^T x_t)^T``: the weight gradient is
  never formed, and of the layer's input only ``Q^T x_t``, k numbers per token, are
  kept for the backward pass. k columns add a variance of about ``|a^T b|_F^2 / k``.

In the metric of a factored second moment (`metric.py`), a gradient is ``R dW C`` with
diagonal R and C: C multiplies Q, and R the rows of the thin result.

The numbers are divided among the module groups, and columns among the layers, by where
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
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tqd_probe.core.errors import InputError
from tqd_probe.core.rng import stream
from tqd_probe.gradients.count_sketch import CountSketch, Piece
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import FactoredMetric

MAP_VERSION = 2  # increase when the same layout and size give another map
SEED = 0
SPLITS = 16
COLUMNS = 16  # columns come in multiples of this, so that all parts have as many
COLUMN_VARIANCE = 4e-4  # of a product, relative to |a|^2 |b|^2, at stable rank 1
MOST_FORMED = 1 << 22  # entries: larger layers are never formed for the sketch
MOST_COLUMNS = 1024
UNMEASURED_COLUMNS = COLUMNS  # of a layer in a block, shares not measured
OUTSIDE_FACTOR = 8  # times as many for a layer outside the blocks
EQUAL_SHARE = 0.25  # of the numbers are divided equally, whatever the groups' energies
DEFAULT_SIZE = 49_152  # 1 MB for five versions of a clip

Padded = tuple[Tensor, Tensor | None]  # a projection and an offset


class Sketch:
    """The random map of one layout: which numbers each parameter adds to.

    With a metric, it maps gradients multiplied by the metric's factors; nothing else is
    computed for that: factors of columns are in the projections, all others in the
    signs of the count-sketch.

    Attributes:
        groups: Start and stop of each module group's numbers.
        size: Numbers per gradient.
        asked: Numbers that were asked for; `size` is at most these.
        energy: Share of the squared gradient norm by parameter, if measured.
        metric: Factors of gradients, if any.
    """

    def __init__(
        self,
        layout: Layout,
        size: int = DEFAULT_SIZE,
        energy: dict[str, float] | None = None,
        metric: FactoredMetric | None = None,
    ) -> None:
        """Divide the numbers among the module groups.

        Args:
            layout: The parameters.
            size: Numbers per gradient; the sketch takes at most these, each group a
                multiple of ``SPLITS``.
            energy: Share of the squared gradient norm of each parameter, as
                `gradient_energy.measure_energy` gives it. None: groups get equal
                numbers, layers equal columns, and those outside the blocks more.
            metric: What gradients are multiplied by first.

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
        self.metric = metric
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
        self._widths = [1 + int(free * share + 1e-9) for share in shares]
        ends = [SPLITS * int(n) for n in np.cumsum([0, *self._widths])]
        self.groups = dict(zip(layout.groups, itertools.pairwise(ends)))
        self.size = ends[-1]
        self._columns = {name: self._choose_columns(name) for name in layout.parameters}
        self._projections: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}
        self._padded: dict[tuple[str, torch.device, torch.dtype], Padded] = {}
        self._count_sketch = CountSketch(self._pieces(ends), SPLITS, self._stream)

    def _pieces(self, starts: list[int]) -> list[Piece]:
        """Describe what of each parameter is count-sketched."""
        entries = {
            name: (self.columns(name) * shape[0] if self.columns(name) else 0)
            or math.prod(shape)
            for name, shape in self.layout.shapes.items()
        }
        crowds = [0] * len(self._widths)
        for name, number in entries.items():
            crowds[self._group[name]] += number
        return [
            Piece(
                name=name,
                entries=number,
                projections=self.columns(name),
                group=list(self.layout.groups)[self._group[name]],
                start=starts[self._group[name]],
                width=self._widths[self._group[name]],
                crowd=crowds[self._group[name]],
                factors=self._entry_factors(name),
            )
            for name, number in entries.items()
        ]

    def _entry_factors(self, name: str) -> np.ndarray | None:
        """Return what the entries of a parameter that are count-sketched lack yet."""
        if self.metric is None:
            return None
        if not self.columns(name):
            return self.metric.entry_factors(name)
        return np.tile(self.metric.rows[name].cpu().numpy(), self.columns(name))

    @staticmethod
    def _stream(use: str, name: str) -> np.random.Generator:
        return stream(SEED, use, name)

    def columns(self, name: str) -> int:
        """Return the number of columns of a parameter's projection.

        Args:
            name: Parameter name.

        Returns:
            Columns; 0 where the parameter is count-sketched entry by entry.
        """
        return self._columns[name]

    def _choose_columns(self, name: str) -> int:
        """Choose columns by the size of a layer and its share of the gradient."""
        shape = self.layout.shapes[name]
        if len(shape) < 2:
            return 0
        out, into = shape[0], math.prod(shape[1:])
        if self.energy is None:
            inside = re.search(r"(^|\.)\d+\.", name)
            columns = UNMEASURED_COLUMNS * (1 if inside else OUTSIDE_FACTOR)
        else:  # fewest for a variance of sum_l share_l^2 / k_l: k_l ~ share_l
            share = self.energy[name] / COLUMN_VARIANCE
            columns = COLUMNS * max(1, math.ceil(share / COLUMNS - 1e-9))
        if 2 * columns * (out + into) <= out * into:
            return columns
        if out * into <= MOST_FORMED:
            return 0
        return min(MOST_COLUMNS, out * into // (2 * (out + into)) // COLUMNS * COLUMNS)

    def follower(self, name: str) -> str:
        """Return the parameter whose entries `add` takes behind those of another.

        Args:
            name: Parameter name.

        Returns:
            Name of the following parameter; of most weights their bias, "" for none.
        """
        return self._count_sketch.follows.get(name, "")

    def group_of(self, name: str) -> int:
        """Return the index of a parameter's module group.

        Args:
            name: Parameter name.

        Returns:
            Index into `groups`.
        """
        return self._group[name]

    def entrywise_groups(self) -> dict[str, int]:
        """List the module groups whose gradients are sketched entry by entry.

        Returns:
            Entries by group, of groups in which no parameter is projected.
        """
        entries = dict.fromkeys(self.groups, 0)
        projected = set()
        for parameter, shape in self.layout.shapes.items():
            group = list(self.groups)[self._group[parameter]]
            entries[group] += math.prod(shape)
            if self.columns(parameter):
                projected.add(group)
        return {g: n for g, n in entries.items() if g not in projected}

    def projection(self, name: str, device: Any, dtype: torch.dtype) -> Tensor:
        """Return the projection Q of a parameter.

        Args:
            name: Parameter name, with columns.
            device: Where it is needed.
            dtype: Its type; entries are exact in all.

        Returns:
            ``[in, columns]``, +1 or -1, times the metric's factors of columns. (The
            scale, one over the root of the columns, is the count-sketch's.)
        """
        key = name, torch.device(device), dtype
        if key not in self._projections:
            self._projections[key] = torch.from_numpy(self._signs(name)).to(
                device, dtype
            )
        return self._projections[key]

    def load_projections(
        self, names: Sequence[str], device: Any, dtype: torch.dtype
    ) -> None:
        """Bring projections of many layers to a device in one copy.

        Args:
            names: Parameter names, with columns.
            device: Where they are needed.
            dtype: Their type.
        """
        device = torch.device(device)
        # Half-precision products want rows of a multiple of 16 bytes. A CPU's kernels
        # take up to twice as long for 17 columns as for 16, and get no ones.
        more = 0 if device.type == "cpu" else 8 if dtype.itemsize == 2 else 1
        padded = [
            np.pad(self._signs(name), [(0, 0), (0, more)]).ravel() for name in names
        ]
        if not padded:
            return
        bank = torch.from_numpy(np.concatenate(padded)).to(device, dtype)
        sizes = [part.size for part in padded]
        offsets: dict[int, Tensor | None] = {}
        for name, part in zip(names, bank.split(sizes)):
            columns = self.columns(name)
            if columns not in offsets and not more:
                offsets[columns] = None
            elif columns not in offsets:
                offset = np.repeat([0.0, 1.0], [columns, more])
                offsets[columns] = torch.from_numpy(offset).to(device, dtype)
            matrix = part.view(-1, columns + more)
            self._padded[name, device, dtype] = matrix, offsets[columns]

    def padded_projection(
        self, name: str, device: torch.device, dtype: torch.dtype
    ) -> Padded:
        """Return a projection and an offset: ``Q^T x + offset`` ends in ones.

        Args:
            name: Parameter name, with columns.
            device: Where it is needed.
            dtype: Its type.

        Returns:
            ``[in, n]`` and ``[n]``, with n larger than the columns; on a CPU
            ``[in, columns]`` and None: a one must be appended.
        """
        if (name, device, dtype) not in self._padded:
            self.load_projections([name], device, dtype)
        return self._padded[name, device, dtype]

    def _signs(self, name: str) -> np.ndarray:
        """Draw the projection of a parameter, int8 or float32 ``[in, columns]``."""
        shape = math.prod(self.layout.shapes[name][1:]), self.columns(name)
        bits = self._stream("sketch columns", name).integers(0, 2, shape, np.int8)
        signs: np.ndarray = 2 * bits - 1
        if self.metric is None:
            return signs
        return signs * self.metric.columns[name].cpu().numpy()[:, None]

    def entries(self, name: str, gradients: Tensor) -> Tensor:
        """Return the entries of a parameter's gradients that are count-sketched.

        Args:
            name: Parameter name.
            gradients: ``[B, *shape]``.

        Returns:
            All entries, or those of ``(dW Q)^T``, ``[B, n]``.
        """
        if not self.columns(name):
            return gradients.flatten(1)
        matrix = gradients.flatten(2) if gradients.ndim > 2 else gradients[..., None]
        projection = self.projection(name, matrix.device, matrix.dtype)
        return torch.matmul(projection.t(), matrix.transpose(1, 2)).flatten(1)

    def add(self, entries: dict[str, Tensor], into: Tensor) -> None:
        """Add the entries of all parameters to sketches.

        Args:
            entries: What `entries` returns, by parameter; zero where missing.
            into: Sketches ``[B, size]``, added to.
        """
        self._count_sketch.add(entries, into)

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
        self.add({name: self.entries(name, g) for name, g in gradients.items()}, found)
        return found
