"""Count-sketches whose places are not drawn but follow one another; signs are drawn.

A count-sketch (Charikar, Chen and Farach-Colton, 2002) adds entry j, with a random sign
``s_j``, to the number ``h(j)``. Random signs alone make products unbiased,
``E <S a, S b> = sum_j a_j b_j``; places decide which entries share a number, and so
the variance. Drawn places cost one scattered addition per entry, in an order that is
not fixed on a GPU. Here consecutive entries go to consecutive numbers, around and
around: a few dense additions, in a fixed order. What a gradient concentrates on, a row
or a column of a matrix, must not fall on itself then: rows of a matrix are set apart by
an odd length, and the numbers of a part are a prime (`prime`), so that two entries of
one column meet only where a whole period lies between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def prime(most: int) -> int:
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


def stride(columns: int, width: int) -> int:
    """Return how far apart the rows of a matrix begin.

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


class Room:
    """Memory that is used again and again: fresh memory costs as much as sums do."""

    def __init__(self) -> None:
        """Begin without any."""
        self._held = torch.empty(0)

    def take(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return memory of a shape; what was taken before is overwritten.

        Args:
            shape: Its shape.
            like: Gives device and type.

        Returns:
            Numbers that may be anything.
        """
        held, size = self._held, math.prod(shape)
        if (
            held.numel() < size
            or held.device != like.device
            or held.dtype != like.dtype
        ):
            self._held = held = like.new_empty(size)
        return held[:size].view(shape)


@dataclass(frozen=True)
class Fold:
    """Where the entries of one parameter, or of several side by side, are added.

    Attributes:
        signs: +1 or -1 ``[rows, columns]``.
        starts: One place for a matrix (`fold`), one number for each block of rows
            (`fold_rows`).
        span: Start and stop of the group's numbers in the sketch.
        shape: Parts and numbers of a part of the group.
        by_rows: Whether rows belong to parts, or all entries to all.
    """

    signs: Tensor
    starts: list[int]
    span: tuple[int, int]
    shape: tuple[int, int]
    by_rows: bool

    def add(self, entries: Tensor, into: Tensor, room: Room) -> None:
        """Add entries to sketches.

        Args:
            entries: ``[B, rows * columns]``.
            into: Sketches ``[B, size]``, added to.
            room: Memory to work in.
        """
        start, stop = self.span
        numbers = into[:, start:stop].view(-1, *self.shape)
        matrix = entries.view(-1, *self.signs.shape)
        if self.by_rows:
            fold_rows(matrix, self.signs, self.starts, numbers, room)
        else:
            fold(matrix, self.signs, self.starts[0], numbers, room)


def fold(entries: Tensor, signs: Tensor, start: int, into: Tensor, room: Room) -> None:
    """Add the entries of a matrix, one after the other, to the numbers of a group.

    Args:
        entries: ``[B, rows, columns]``; a vector is a matrix of one row.
        signs: +1 or -1 ``[rows, columns]``.
        start: Place of the first entry.
        into: The group's numbers ``[B, parts, width]``, added to: place p is part
            ``p mod parts``, number ``p // parts mod width``.
        room: Memory to work in.
    """
    gradients, rows, columns = entries.shape
    parts, width = into.shape[1:]
    apart = stride(columns, width)
    stop = start + rows * apart
    period = parts * width
    times = -(-stop // period)
    laid = room.take((gradients, times * period), entries)
    laid[:, :start].zero_()
    laid[:, stop:].zero_()
    body = laid[:, start:stop].unflatten(1, (rows, apart))
    body[..., columns:].zero_()
    torch.mul(entries, signs, out=body[..., :columns])
    total = laid if times == 1 else laid.view(gradients, times, period).sum(1)
    into += total.view(gradients, width, parts).transpose(1, 2)


def fold_rows(
    entries: Tensor, signs: Tensor, starts: list[int], into: Tensor, room: Room
) -> None:
    """Add rows to the parts of a group, row r to part ``r mod parts``.

    Args:
        entries: ``[B, rows, columns]``.
        signs: +1 or -1 ``[rows, columns]``.
        starts: Number at which a block of as many rows as there are parts begins, one
            for each block: the rows that share a part do not lie on one another.
        into: The group's numbers ``[B, parts, width]``, added to.
        room: Memory to work in.
    """
    parts, width = into.shape[1:]
    signed = torch.mul(entries, signs, out=room.take(entries.shape, entries))
    columns = signed.shape[2]
    for block, start in enumerate(starts):
        rows = signed[:, block * parts : (block + 1) * parts]
        target = into[:, : rows.shape[1]]
        at = 0
        while at < columns:
            many = min(width - start, columns - at)
            target[..., start : start + many].add_(rows[..., at : at + many])
            at, start = at + many, 0
