"""Exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

Named = Mapping[str, torch.Tensor]


class Ema:
    """Keeps ``average = d average + (1 - d) weights`` in float32.

    The decay rises as ``min(decay, (1 + step) / (10 + step))``, so that the first
    average is not that of untrained weights.
    """

    def __init__(self, parameters: Named, decay: float) -> None:
        """Start from the present weights.

        Args:
            parameters: Trained parameters by name.
            decay: Final decay per step, in (0, 1).
        """
        self.decay = decay
        self.average = {
            name: value.detach().clone().float() for name, value in parameters.items()
        }

    @torch.no_grad()
    def update(self, parameters: Named, step: int) -> None:
        """Average in the weights after a step.

        Args:
            parameters: Trained parameters by name.
            step: Steps done before this one.
        """
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in parameters.items():
            self.average[name].lerp_(value.detach().float(), weight)

    @contextmanager
    def swapped_in(self, parameters: Named) -> Iterator[None]:
        """Give the network the averaged weights for the length of a block.

        Args:
            parameters: Trained parameters by name.

        Yields:
            Nothing.
        """
        kept = {name: value.detach().clone() for name, value in parameters.items()}
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(self.average[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in parameters.items():
                    value.copy_(kept[name])
