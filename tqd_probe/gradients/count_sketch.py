"""Count-sketch of all parameters of a network in a handful of kernels.

A count-sketch (Charikar, Chen and Farach-Colton, 2002) multiplies entry j with a random
sign ``s_j`` and adds it to the number ``h(j)``. The signs make products unbiased,
``E <S a, S b> = sum_j a_j b_j``; h decides which entries collide, and so the variance.

One scattered addition per entry would be slow. Here consecutive entries form a segment
whose signed sum goes to one number. Segments are dealt out evenly, in random order, and
are short enough that nearly all collisions are between segments: with 16 segments per
number the variance is at most 1/16 above that of single entries. Entries of all
parameters with segments of one length lie side by side, so that one pass costs four
kernels per length, however many layers there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

LENGTHS = (64, 16, 4, 1)  # of a segment
LEAST_PER_NUMBER = 16  # segments, where entries are that many

Stream = Callable[[str, str], np.random.Generator]


@dataclass(frozen=True)
class Piece:
    """The entries of one parameter.

    Attributes:
        name: Parameter name.
        entries: How many there are.
        projections: Lines that they form, if each line goes to one part of the group's
            numbers; 0 where entries go to all parts.
        group: Name of the module group.
        start: First number of the group.
        width: Numbers of a part of the group.
        crowd: Entries of the whole group.
        factors: What entries are multiplied by ``[entries]``: a metric; None: nothing.
    """

    name: str
    entries: int
    projections: int
    group: str
    start: int
    width: int
    crowd: int
    factors: np.ndarray | None = field(default=None, compare=False)


@dataclass
class _Lane:
    """Pieces with segments of one length, side by side.

    Attributes:
        length: Entries of a segment.
        pieces: The pieces, in order.
        signs: +1 or -1 by entry, over the root of the projections, times the factor.
        numbers: Number of the sketch by segment.
        cached: Signs and numbers on a device, by device, type and batch.
    """

    length: int
    pieces: list[Piece]
    signs: np.ndarray
    numbers: np.ndarray
    cached: dict[tuple[torch.device, torch.dtype, int], tuple[Tensor, Tensor]] = field(
        default_factory=dict
    )

    def on(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return signs ``[entries]`` and numbers ``[B * segments]``, as `like`."""
        clips, size = like.shape
        key = like.device, like.dtype, clips
        found = self.cached.get(key)
        if found is None:
            signs = torch.from_numpy(self.signs).to(like.device, like.dtype)
            numbers = torch.from_numpy(self.numbers).to(like.device)
            rows = size * torch.arange(clips, device=like.device)
            numbers = (rows[:, None] + numbers).flatten()
            self.cached.clear()  # one batch size at a time is in use
            self.cached[key] = found = signs, numbers
        return found


class CountSketch:
    """Adds the entries of parameters to the numbers of their module groups.

    Attributes:
        follows: By parameter, the one of its group that stands next to it among those
            with segments of one length.
    """

    def __init__(self, pieces: Sequence[Piece], parts: int, stream: Stream) -> None:
        """Draw the map.

        Args:
            pieces: The parameters.
            parts: Parts of a group's numbers, each a sketch by itself.
            stream: Random generator of a use and a parameter name.
        """
        by_length: dict[int, list[Piece]] = {}
        for piece in pieces:
            by_length.setdefault(_segment_length(piece, parts), []).append(piece)
        self._lanes = []
        dealer = _Dealer(parts, stream)
        for length, some in sorted(by_length.items()):
            signs = [_draw_signs(piece, stream) for piece in some]
            numbers = [dealer.deal(piece, length) for piece in some]
            lane = _Lane(length, some, np.concatenate(signs), np.concatenate(numbers))
            self._lanes.append(lane)
        self.follows = {
            piece.name: after.name
            for lane in self._lanes
            for piece, after in itertools.pairwise(lane.pieces)
            if piece.group == after.group
        }

    def add(self, entries: dict[str, Tensor], into: Tensor) -> None:
        """Add entries to sketches.

        Args:
            entries: Entries ``[B, n]`` by parameter; zero for those that are missing.
                Those of the parameter that `follows` may stand behind, in one tensor.
            into: Sketches ``[B, size]``, added to.
        """
        clips = into.shape[0]
        for lane in self._lanes:
            rows: list[Tensor] = []
            ahead = 0  # entries that came with those of an earlier parameter
            for piece in lane.pieces:
                if ahead:
                    ahead -= piece.entries
                    continue
                row = entries.get(piece.name)
                if row is None:
                    row = into.new_zeros(clips, piece.entries)
                ahead = row.shape[1] - piece.entries
                rows.append(row)
            signs, numbers = lane.on(into)
            signed = torch.cat(rows, 1).mul_(signs)
            if lane.length > 1:
                signed = signed.reshape(clips, -1, lane.length).sum(2)
            into.view(-1).index_add_(0, numbers, signed.reshape(-1))


def _segment_length(piece: Piece, parts: int) -> int:
    """Choose the longest segments that leave enough of them for each number."""
    line = piece.entries // (piece.projections or 1)
    most = piece.crowd / (LEAST_PER_NUMBER * parts * piece.width)
    return next((n for n in LENGTHS if n <= most and line % n == 0), 1)


def _draw_signs(piece: Piece, stream: Stream) -> np.ndarray:
    """Draw the sign of every entry, with all it is multiplied by."""
    bits = stream("sketch entries", piece.name).integers(
        0, 2, piece.entries, dtype=np.int8
    )
    scale = np.float32(1 / np.sqrt(piece.projections or 1))
    signs = (2 * bits - 1) * scale
    return signs if piece.factors is None else signs * piece.factors


class _Dealer:
    """Assigns segments to numbers: evenly within a module group, in random order."""

    def __init__(self, parts: int, stream: Stream) -> None:
        self._parts, self._stream = parts, stream
        self._dealt: dict[tuple[str, int], int] = {}  # by group and part; -1: all parts

    def deal(self, piece: Piece, length: int) -> np.ndarray:
        """Assign every segment of a parameter to a number."""
        rng = self._stream("sketch numbers", piece.name)
        if not piece.projections:
            every = self._parts * piece.width
            return piece.start + self._evenly(
                piece, rng, -1, piece.entries // length, every
            )
        segments = piece.entries // piece.projections // length
        found = np.empty((piece.projections, segments), dtype=np.int64)
        for part in range(min(self._parts, piece.projections)):
            lines = found[part :: self._parts]
            first = piece.start + part * piece.width
            dealt = self._evenly(piece, rng, part, lines.size, piece.width)
            lines[...] = first + dealt.reshape(lines.shape)
        return found.ravel()

    def _evenly(
        self,
        piece: Piece,
        rng: np.random.Generator,
        part: int,
        segments: int,
        numbers: int,
    ) -> np.ndarray:
        """Go on where the last parameter of the group stopped."""
        key = piece.group, part
        begin = self._dealt.get(key, 0)
        self._dealt[key] = begin + segments
        order = self._stream("sketch order", f"{piece.group} {part}")
        return order.permutation(numbers)[(begin + rng.permutation(segments)) % numbers]
