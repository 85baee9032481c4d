"""Layout of the flat gradient vector: the span of each parameter and module group."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest
from tqd_probe.models.quantisation import parameter_shapes


@dataclass(frozen=True)
class Layout:
    """The order of the probed parameters, groups side by side.

    Attributes:
        parameters: Start and stop in the flat vector by parameter name.
        groups: Start and stop in the flat vector by module group.
        shapes: Parameter shapes by name.
        size: Length of the flat vector.
    """

    parameters: dict[str, tuple[int, int]]
    groups: dict[str, tuple[int, int]]
    shapes: dict[str, tuple[int, ...]]
    size: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the order, names and shapes."""
        return digest([list(self.parameters), list(self.shapes.values())])

    def locate(self, index: int) -> tuple[str, str]:
        """Return the module group and parameter at an index of the flat vector.

        Args:
            index: Index in ``[0, size)``.

        Returns:
            Module group and parameter name.
        """
        group = next(g for g, (a, b) in self.groups.items() if a <= index < b)
        name = next(p for p, (a, b) in self.parameters.items() if a <= index < b)
        return group, name


def make_layout(
    network: torch.nn.Module, groups: dict[str, list[str]], only: str = "all"
) -> Layout:
    """Make the layout of a network's parameters.

    Args:
        network: The network.
        groups: Parameter names by module group (`VideoModel.modules`).
        only: ``all``, or a regular expression searched in parameter names.

    Returns:
        The layout.

    Raises:
        InputError: If the expression is invalid or matches no parameter.
    """
    try:
        wanted = re.compile("" if only == "all" else only)
    except re.error as error:
        raise InputError(
            f"--params {only}: not a regular expression ({error})"
        ) from error
    known = parameter_shapes(network)
    parameters: dict[str, tuple[int, int]] = {}
    spans: dict[str, tuple[int, int]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    at = 0
    for group, names in groups.items():
        start = at
        for name in names:
            if wanted.search(name):
                size = math.prod(known[name])
                parameters[name] = (at, at + size)
                shapes[name] = known[name]
                at += size
        if at > start:
            spans[group] = (start, at)
    if not parameters:
        raise InputError(
            f"--params {only}: matches no parameter; names look like"
            f" {next(iter(known))!r}"
        )
    return Layout(parameters, spans, shapes, at)
