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

from torch import nn

from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.core.files import DELETE, read_json, write_json
from tqd_probe.gradients.capture import GradientCapture, Losses
from tqd_probe.gradients.kept_gradients import SquaredNorms
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import Metric


def measure_energy(
    network: nn.Module,
    layout: Layout,
    passes: Iterable[tuple[Losses, int]],
    metric: Metric | None = None,
) -> dict[str, float]:
    """Measure the share of every parameter in the squared gradient norm.

    Args:
        network: The network.
        layout: The parameters.
        passes: Losses and number of clips of each pass; all have equal weight.
        metric: What gradients are multiplied by, if anything.

    Returns:
        Share by parameter, rounded to six digits; their sum is 1 to that rounding.

    Raises:
        GradientError: If a gradient is zero or not finite.
    """
    norms = SquaredNorms(layout, metric)
    engine = GradientCapture(network, layout, norms)
    shares = dict.fromkeys(layout.parameters, 0.0)
    count = 0
    for losses, clips in passes:
        engine.capture(losses, clips)
        total = math.fsum(norms.squares.values())
        if not 0 < total < math.inf:
            raise GradientError(
                f"the squared norm of a golden gradient is {total:g}; check the"
                " checkpoint's weights, or use another --dtype"
            )
        for name, square in norms.squares.items():
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
    value = read_json(path, "the shares of the squared gradient norm", cure=DELETE)
    good = isinstance(value, dict) and value.keys() == layout.parameters.keys()
    if not good or not all(
        isinstance(v, (int, float)) and 0 <= v <= 1 for v in value.values()
    ):
        raise InputError(f"{path}: not the shares of this run's parameters; {DELETE}")
    return {name: float(share) for name, share in value.items()}
