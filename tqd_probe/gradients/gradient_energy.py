"""Share of each parameter in the squared gradient norm, from a few pilot passes.

A sketch is more exact when parameters with more of the gradient get more of its numbers
(`sketch.py`). The shares differ from model to model: in a Wan with random weights four
fifths of the squared norm are in the last layer. A few golden gradients measure them
before the first draw; they are stored with the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.core.files import read_json, write_json
from tqd_probe.gradients.capture import GradientCapture, Losses
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.sinks import Captured


class SquaredNorms:
    """A sink that keeps the squared norm of each parameter's gradient only.

    Attributes:
        squares: Sum over the clips of the last batch, by parameter.
    """

    def __init__(self, layout: Layout, scale: Tensor | None = None) -> None:
        """Measure the parameters of a layout.

        Args:
            layout: The parameters.
            scale: What gradients are multiplied by ``[layout.size]``: the metric.
        """
        self.layout, self.scale = layout, scale
        self.squares: dict[str, float] = {}

    def start(self, clips: int, wide: torch.dtype, device: torch.device) -> None:
        """Begin a batch.

        Args:
            clips: Number of clips.
            wide: Type of sums.
            device: Where the network runs.
        """
        self.squares = dict.fromkeys(self.layout.parameters, 0.0)

    def takes_factors(self, name: str) -> bool:
        """Ask for gradients, never for factors.

        Args:
            name: Parameter name.

        Returns:
            False.
        """
        return False

    def record(self, name: str, gradients: Tensor) -> None:
        """Add a squared norm; parts of one parameter are treated as orthogonal.

        Args:
            name: Parameter name.
            gradients: ``[B, ...]``.
        """
        rows = gradients.flatten(1)
        if self.scale is not None:
            start, stop = self.layout.parameters[name]
            rows = rows * self.scale[start:stop].to(rows)
        norms = torch.linalg.vector_norm(rows, dim=1).double()
        self.squares[name] += float(norms.square().sum())

    def record_factors(self, name: str, left: Tensor, right: Tensor) -> None:
        """Form a gradient from its factors.

        Args:
            name: Parameter name.
            left: ``[B, tokens, out]``.
            right: ``[B, tokens, in]``.
        """
        self.record(name, torch.bmm(left.transpose(1, 2), right))

    def finish(self, losses: Tensor) -> Captured:
        """End the batch.

        Args:
            losses: Losses ``[B]``.

        Returns:
            The losses, without gradients.
        """
        return Captured(losses.new_zeros(len(losses), 0), None, losses)


def measure_energy(
    network: nn.Module,
    layout: Layout,
    passes: Iterable[tuple[Losses, int]],
    scale: Tensor | None = None,
) -> dict[str, float]:
    """Measure the share of every parameter in the squared gradient norm.

    Args:
        network: The network.
        layout: The parameters.
        passes: Losses and number of clips of each pass; all have equal weight.
        scale: What gradients are multiplied by ``[layout.size]``: the metric.

    Returns:
        Share by parameter, rounded to six digits; their sum is 1 to that rounding.

    Raises:
        GradientError: If a gradient is zero or not finite.
    """
    sink = SquaredNorms(layout, scale)
    engine = GradientCapture(network, layout, sink)
    shares = dict.fromkeys(layout.parameters, 0.0)
    count = 0
    for losses, clips in passes:
        engine.capture(losses, clips)
        total = math.fsum(sink.squares.values())
        if not 0 < total < math.inf:
            raise GradientError(
                f"the squared norm of a golden gradient is {total:g}; check the"
                " checkpoint's weights, or use another --dtype"
            )
        for name, square in sink.squares.items():
            shares[name] += square / total
        count += 1
    return {name: float(f"{share / count:.6g}") for name, share in shares.items()}


def stored_energy(
    path: Path, layout: Layout, measure: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """Return the stored shares of a run; measure and store them first if missing.

    Args:
        path: The file.
        layout: The parameters.
        measure: Measures them; called only when the file is missing.

    Returns:
        Share by parameter.

    Raises:
        InputError: If the file is damaged.
    """
    if not path.exists():
        write_json(path, measure())
    value = read_json(path, "the shares of the squared gradient norm")
    good = isinstance(value, dict) and value.keys() == layout.parameters.keys()
    if not good or not all(
        isinstance(v, (int, float)) and 0 <= v <= 1 for v in value.values()
    ):
        raise InputError(
            f"{path}: not the shares of this run's parameters; use --overwrite"
        )
    return {name: float(share) for name, share in value.items()}
