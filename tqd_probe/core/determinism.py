"""Torch set so that a resumed run equals a whole one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

ONE_THREAD_BELOW = 10_000_000  # parameters; waking threads costs more than it saves


@contextmanager
def steady(device: torch.device, parameters: int) -> Iterator[None]:
    """Make torch deterministic for a block, on one thread for small CPU networks.

    How many threads share a sum decides how it is rounded, so the rule must be the
    same for all runs.

    Args:
        device: Where the network runs.
        parameters: Number of its parameters.

    Yields:
        Nothing.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    if device.type == "cpu" and parameters < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # none is read
    try:
        yield
    finally:
        memory.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])
