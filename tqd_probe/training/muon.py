"""Muon for matrices and AdamW for the rest, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps several optimisers, each with its own parameters, as one.

    torch's Muon takes matrices alone. Groups and state are kept here, where they are
    set, saved and loaded; the optimisers are given them before they step.
    """

    def __init__(self, optimisers: list[torch.optim.Optimizer]) -> None:
        """Take over the groups of some optimisers.

        Args:
            optimisers: The optimisers, before their first step.
        """
        self.optimisers = optimisers
        super().__init__([g for each in optimisers for g in each.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step all of them.

        Args:
            closure: Computes the loss again.

        Returns:
            Its loss; None without a closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        start = 0
        for each in self.optimisers:
            count = len(each.param_groups)
            each.param_groups = self.param_groups[start : start + count]
            each.state = self.state
            each.step()
            start += count
        return loss
