"""Count-sketch with entries assigned to numbers cyclically instead of at random.

A count-sketch (Charikar, Chen and Farach-Colton, 2002) adds entry j, with a random sign
``s_j``, to the number ``h(j)``. The random signs make products unbiased,
``E <S a, S b> = sum_j a_j b_j``; the assignment h decides which entries collide, and so
the variance. A random h costs one scattered addition per entry, in an order that is not
fixed on a GPU. Here consecutive entries go to consecutive numbers, modulo their count:
a few dense additions, in a fixed order.

A gradient often concentrates on one row or column of a matrix. These must not collide
with themselves: rows start an odd distance apart (`row_stride`), and the numbers of a
part are a prime (`largest_prime`), so that two entries of one column collide only a
full period apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def largest_prime(most: int) -> int:
    """Return the largest prime that is not above a number.

    Args:
        most: At least 1.

    Returns:
        The prime; 1 for 1.
    """
    for value in range(most, 1, -1):
        if all(value % divisor for divisor in range(2, int(value**0.5) + 1)):
            return value
    return 1


def row_stride(columns: int, width: int) -> int:
    """Return how far apart the rows of a matrix start.

    Args:
        columns: Entries of a row.
        width: Numbers of a part, a prime.

    Returns:
        The least odd number from `columns` on that is no multiple of `width`.
    """
    found = columns | 1
    while width > 1 and found % width == 0:
        found += 2
    return found


class Workspace:
    """Memory that is reused: allocating it anew costs as much as the sums."""

    def __init__(self) -> None:
        """Start empty."""
        self._buffer = torch.empty(0)

    def take(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return a tensor in the workspace; the one taken before is overwritten.

        Args:
            shape: Its shape.
            like: Gives device and dtype.

        Returns:
            A tensor with arbitrary values.
        """
        buffer, size = self._buffer, math.prod(shape)
        if (
            buffer.numel() < size
            or buffer.device != like.device
            or buffer.dtype != like.dtype
        ):
            self._buffer = buffer = like.new_empty(size)
        return buffer[:size].view(shape)


@dataclass(frozen=True)
class CyclicCountSketch:
    """The count-sketch of one parameter, or of several side by side.

    Attributes:
        signs: +1 or -1 ``[rows, columns]``.
        starts: First number: one for a matrix (`add_cyclically`), one per block of
            rows for `add_rows_cyclically`.
        span: Start and stop of the module group's numbers in the sketch.
        shape: Parts of the group, and numbers of a part.
        by_rows: Whether each row goes to one part; otherwise all entries to all parts.
    """

    signs: Tensor
    starts: list[int]
    span: tuple[int, int]
    shape: tuple[int, int]
    by_rows: bool

    def add(self, entries: Tensor, into: Tensor, workspace: Workspace) -> None:
        """Add entries to sketches.

        Args:
            entries: ``[B, rows * columns]``.
            into: Sketches ``[B, size]``, added to.
            workspace: Memory to work in.
        """
        start, stop = self.span
        numbers = into[:, start:stop].view(-1, *self.shape)
        matrix = entries.view(-1, *self.signs.shape)
        if self.by_rows:
            add_rows_cyclically(matrix, self.signs, self.starts, numbers, workspace)
        else:
            add_cyclically(matrix, self.signs, self.starts[0], numbers, workspace)


def add_cyclically(
    entries: Tensor, signs: Tensor, start: int, into: Tensor, workspace: Workspace
) -> None:
    """Add the entries of a matrix, one after the other, to the numbers of a group.

    Args:
        entries: ``[B, rows, columns]``; a vector is a matrix of one row.
        signs: +1 or -1 ``[rows, columns]``.
        start: Position of the first entry.
        into: The group's numbers ``[B, parts, width]``, added to: position p is part
            ``p mod parts``, number ``p // parts mod width``.
        workspace: Memory to work in.
    """
    gradients, rows, columns = entries.shape
    parts, width = into.shape[1:]
    stride = row_stride(columns, width)
    stop = start + rows * stride
    period = parts * width
    periods = -(-stop // period)
    positions = workspace.take((gradients, periods * period), entries)
    positions[:, :start].zero_()
    positions[:, stop:].zero_()
    body = positions[:, start:stop].unflatten(1, (rows, stride))
    body[..., columns:].zero_()
    torch.mul(entries, signs, out=body[..., :columns])
    total = positions
    if periods > 1:
        total = positions.view(gradients, periods, period).sum(1)
    into += total.view(gradients, width, parts).transpose(1, 2)


def add_rows_cyclically(
    entries: Tensor,
    signs: Tensor,
    starts: list[int],
    into: Tensor,
    workspace: Workspace,
) -> None:
    """Add rows to the parts of a group, row r to part ``r mod parts``.

    Args:
        entries: ``[B, rows, columns]``.
        signs: +1 or -1 ``[rows, columns]``.
        starts: First number of each block of `parts` rows: rows that share a part
            start at different numbers.
        into: The group's numbers ``[B, parts, width]``, added to.
        workspace: Memory to work in.
    """
    parts, width = into.shape[1:]
    signed = torch.mul(entries, signs, out=workspace.take(entries.shape, entries))
    columns = signed.shape[2]
    for block, start in enumerate(starts):
        rows = signed[:, block * parts : (block + 1) * parts]
        target = into[:, : rows.shape[1]]
        done = 0
        while done < columns:
            many = min(width - start, columns - done)
            target[..., start : start + many].add_(rows[..., done : done + many])
            done, start = done + many, 0
