"""Second moments of golden gradients, from passes over single clips.

Adam averages squares of batch gradients. Where noise dominates, these are the squares
for single clips divided by the batch size, a constant factor. Full moments are a number
per entry. Factored ones are the means of the rows and the columns of every parameter
(`metric.py`): a layer's gradients are squared and reduced as soon as they are formed,
so that a pass takes little more memory than a plain one, and what is kept is vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import DELETE
from tqd_probe.core.tensor_files import read_tensors, write_tensors
from tqd_probe.gradients.kept_gradients import (
    Captured,
    LeafPlan,
    Unplaced,
    Unprojected,
)
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import matrix_shape

SAMPLES = 64  # pairs of clip and level that moments are estimated from


class FactoredSquares(Unplaced, Unprojected):
    """Keeps the mean squares of the rows and columns of each parameter's gradient."""

    def __init__(self, layout: Layout) -> None:
        """Keep squares of a layout.

        Args:
            layout: The parameters.
        """
        self.layout = layout

    def plan(self, name: str) -> LeafPlan:
        """Plan the leaf of a parameter: means of rows, then of columns.

        Args:
            name: Parameter name.

        Returns:
            The plan.
        """
        shape = self.layout.shapes[name]
        return LeafPlan(
            sum(matrix_shape(shape)), lambda g: factored_squares(g.flatten(1), shape)
        )

    def collect(
        self, found: dict[str, Tensor], uses: dict[str, int], losses: Tensor
    ) -> Captured:
        """Put the means side by side; parts of one parameter count as orthogonal.

        Args:
            found: Means of each leaf ``[B, n]``; missing ones are zero.
            uses: How often each parameter was used.
            losses: Losses ``[B]``.

        Returns:
            The means ``[B, factored_size(layout)]``, in place of gradients.
        """
        parts = [
            found[name]
            if name in found
            else losses.new_zeros(len(losses), sum(matrix_shape(shape)))
            for name, shape in self.layout.shapes.items()
        ]
        return Captured(torch.cat(parts, 1), None, losses)


def factored_squares(gradients: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reduce squares of gradients of a parameter to rows and columns.

    Args:
        gradients: ``[B, n]``.
        shape: Shape of the parameter, n numbers.

    Returns:
        Mean squares of the rows ``[out]``, then of the columns ``[in]``, of the
        parameter as a matrix: ``[B, out + in]``.
    """
    squares = gradients.reshape(-1, *matrix_shape(shape)).square()
    return torch.cat([squares.mean(2), squares.mean(1)], 1)


def sampled_pairs(clips: int, levels: int) -> Iterator[tuple[int, list[int]]]:
    """Choose the clips and levels that moments are estimated from.

    Args:
        clips: Number of golden clips.
        levels: Number of noise levels.

    Yields:
        Every level with its clips: at least `SAMPLES` pairs in all (all pairs where
        there are fewer), every clip as often as another, every level as often as
        another but for one round.
    """
    chosen: dict[int, list[int]] = {level: [] for level in range(levels)}
    for clip, places in enumerate(levels_of_batches([1] * clips, levels)):
        for level in places:
            chosen[level].append(clip)
    yield from chosen.items()


def levels_of_batches(sizes: Sequence[int], levels: int) -> list[list[int]]:
    """Choose the levels at which each batch of clips is passed.

    Args:
        sizes: Clips of each batch.
        levels: Number of noise levels.

    Returns:
        Levels of each batch, all different and visited evenly: at least `SAMPLES` pairs
        of clip and level in all, or all pairs.
    """
    rounds = min(levels, -(-max(SAMPLES, levels) // sum(sizes)))
    offsets = [turn * levels // rounds for turn in range(rounds)]
    return [
        [(batch + offset) % levels for offset in offsets] for batch in range(len(sizes))
    ]


def mean_of(squares: Iterator[Tensor]) -> Tensor:
    """Average squares over all clips of all passes.

    Args:
        squares: Squares ``[B, n]`` of each pass.

    Returns:
        Means ``[n]``, float64 on the CPU.
    """
    total: Tensor | float = 0.0
    count = 0
    for part in squares:
        total = total + part.sum(0, dtype=torch.float64)
        count += len(part)
    return torch.as_tensor(total).cpu() / count


def stored_moments(
    path: Path, fingerprint: str, estimate: Callable[[], Tensor]
) -> Tensor:
    """Estimate second moments once and store them: a resumed run needs the same.

    Their roots are kept in bfloat16, 0.2 % of each, which is far below their own error:
    for a network of a million parameters that is 2 MB instead of 8.

    Args:
        path: The file.
        fingerprint: Fingerprint of the gradients they belong to.
        estimate: Estimates them, where the file is missing.

    Returns:
        Moments ``[n]``.

    Raises:
        InputError: If the file is damaged.
    """
    place = f"{fingerprint} second moments"
    if not path.exists():
        bits = estimate().sqrt().to(torch.bfloat16).view(torch.uint16)
        write_tensors(path, {"roots": bits.numpy()}, place)
    known = read_tensors(path, place)
    if known is None:
        raise InputError(f"{path}: damaged; {DELETE}")
    return torch.from_numpy(known["roots"]).view(torch.bfloat16).double().square()
