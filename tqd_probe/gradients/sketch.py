"""A linear random sketch of gradients: few numbers that keep all inner products.

For every parameter a random linear map, fixed by its name, adds into the numbers of
its module group, so that ``E <S a, S b> = <a, b>`` for any gradients a and b:

- *Count-sketch* (Charikar, Chen and Farach-Colton, 2002) for vectors and small
  matrices: each entry gets a random sign and is added to a random number. The
  variance of ``<S a, S b>`` is about ``(|a|^2 |b|^2 + <a, b>^2) / m`` for m numbers.
- *One-sided rows* for large matrices: row r is ``z_r = p_r^T dW`` with random signs
  p_r, then count-sketched, each row by itself. Since ``dW = sum_t g_t x_t^T``, the row
  is ``sum_t (p_r . g_t) x_t``: the weight gradient is never formed.

`analyses/sketch_choice.py` compares time and error with other sketches. The numbers of
a group fall into `SPLITS` parts that are sketches by themselves; how these disagree
tells the sketch's own error.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from torch import Tensor

from tqd_probe.errors import InputError
from tqd_probe.gradients.layout import Layout
from tqd_probe.rng import stream

SEED = 0  # fixed: sketches of different runs can be compared
SPLITS = 16
ROWS = 32
ONCE = 8  # times more rows for a layer that is not one of many
DEFAULT_SIZE = 16_384


class Sketch:
    """The random map of one layout: which numbers each parameter adds to.

    Attributes:
        groups: Start and stop of each module group's numbers.
        size: Numbers per gradient.
    """

    def __init__(self, layout: Layout, size: int = DEFAULT_SIZE) -> None:
        """Divide the numbers equally among the module groups.

        Args:
            layout: The parameters.
            size: Numbers per gradient; the sketch takes the largest multiple of
                ``SPLITS x groups`` up to it.

        Raises:
            InputError: If that leaves a group without numbers.
        """
        width = size // (SPLITS * len(layout.groups))
        if width < 1:
            raise InputError(
                f"--sketch {size}: too small for {len(layout.groups)} module groups;"
                f" give at least {SPLITS * len(layout.groups)}, or exact"
            )
        self.layout = layout
        self._share = SPLITS * width
        names = list(layout.groups)
        self.groups = {
            name: (i * self._share, (i + 1) * self._share)
            for i, name in enumerate(names)
        }
        self.size = self._share * len(names)
        spans = list(layout.groups.values())
        self._home = {
            parameter: next(i for i, (a, b) in enumerate(spans) if a <= start < b)
            for parameter, (start, _) in layout.parameters.items()
        }
        self._places: dict[str, tuple[Tensor, Tensor]] = {}
        self._signs: dict[str, Tensor] = {}

    def rows(self, name: str) -> int:
        """Return the number of one-sided rows of a parameter.

        Args:
            name: Parameter name.

        Returns:
            Rows; 0 where the parameter is count-sketched entry by entry.
        """
        shape = self.layout.shapes[name]
        if len(shape) < 2:
            return 0
        out, into = shape[0], math.prod(shape[1:])
        rows = ROWS if re.search(r"(^|\.)\d+\.", name) else ROWS * ONCE
        return rows if 4 * rows * (out + into) <= out * into else 0

    def group_of(self, name: str) -> int:
        """Return the place of a parameter's module group.

        Args:
            name: Parameter name.

        Returns:
            Index into `groups`.
        """
        return self._home[name]

    def signs(self, name: str, like: Tensor) -> Tensor:
        """Return the signs of the one-sided rows.

        Args:
            name: Parameter name, with rows.
            like: Gives device and type.

        Returns:
            ``[out, rows]``, +1 or -1 over the root of the rows.
        """
        found = self._signs.get(name)
        if found is None or found.device != like.device or found.dtype != like.dtype:
            out, rows = self.layout.shapes[name][0], self.rows(name)
            rng = stream(SEED, "sketch rows", name)
            bits = rng.integers(0, 2, (out, rows), dtype=np.int8)
            found = (torch.from_numpy(bits).to(like) * 2 - 1) / math.sqrt(rows)
            self._signs[name] = found
        return found

    def add(self, name: str, gradients: Tensor, into: Tensor) -> None:
        """Sketch the gradients of one parameter.

        Args:
            name: Parameter name.
            gradients: ``[B, *shape]``.
            into: Sketches ``[B, size]``, added to.
        """
        rows = self.rows(name)
        if not rows:
            self._count(name, gradients.reshape(len(gradients), -1), into)
            return
        matrix = gradients.reshape(len(gradients), gradients.shape[1], -1)
        signs = self.signs(name, matrix)
        self.add_rows(name, torch.matmul(signs.t(), matrix), into)

    def add_factors(self, name: str, left: Tensor, right: Tensor, into: Tensor) -> None:
        """Sketch ``sum_t left_t right_t^T`` without forming it.

        Args:
            name: Parameter name, with rows.
            left: ``[B, tokens, out]``.
            right: ``[B, tokens, in]``.
            into: Sketches ``[B, size]``, added to.
        """
        mixed = torch.matmul(left, self.signs(name, left))
        self.add_rows(name, torch.bmm(mixed.transpose(1, 2), right), into)

    def add_rows(self, name: str, rows: Tensor, into: Tensor) -> None:
        """Add projected rows.

        Args:
            name: Parameter name, with rows.
            rows: ``[B, rows, in]``.
            into: Sketches ``[B, size]``, added to.
        """
        self._count(name, rows.flatten(1), into)

    def _count(self, name: str, entries: Tensor, into: Tensor) -> None:
        """Add signed entries ``[B, n]`` to their places."""
        places, signs = self._placed(name, entries)
        # Kept as int32 to halve the memory; torch adds by int64 some 15 times faster.
        into.index_add_(1, places.long(), entries * signs.to(entries.dtype))

    def _placed(self, name: str, like: Tensor) -> tuple[Tensor, Tensor]:
        """Draw, once, where each entry of a parameter goes, and its sign."""
        found = self._places.get(name)
        if found is not None and found[0].device == like.device:
            return found
        rows, count = self.rows(name), like.shape[1]
        rng = stream(SEED, "sketch places", name)
        if rows:  # row r belongs to part r mod SPLITS: the parts are independent
            width = self._share // SPLITS
            part = (np.arange(rows) % SPLITS * width)[:, None]
            places = (part + rng.integers(0, width, (rows, count // rows))).ravel()
        else:
            places = rng.integers(0, self._share, count)
        places = places + self._home[name] * self._share
        signs = rng.integers(0, 2, count, dtype=np.int8) * np.int8(2) - np.int8(1)
        found = (
            torch.from_numpy(places.astype(np.int32)).to(like.device),
            torch.from_numpy(signs).to(like.device),
        )
        self._places[name] = found
        return found

    def of_flat(self, gradients: Tensor) -> Tensor:
        """Sketch whole gradients.

        Args:
            gradients: ``[B, layout.size]``.

        Returns:
            ``[B, size]``, in the type of the gradients.
        """
        out = gradients.new_zeros((len(gradients), self.size))
        for name, (start, stop) in self.layout.parameters.items():
            part = gradients[:, start:stop]
            self.add(name, part.reshape(-1, *self.layout.shapes[name]), out)
        return out
