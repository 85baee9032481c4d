"""Deterministic torch: a resumed run gives the same bits as an uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

ONE_THREAD_BELOW = 10_000_000  # parameters


@contextmanager
def deterministic(device: torch.device, parameter_count: int) -> Iterator[None]:
    """Use deterministic kernels in a block, and one thread for small CPU networks.

    The layers of a small network are short: waking a second thread for each costs more
    than it saves. The number of threads decides how sums are rounded, so the same rule
    holds for all runs.

    Args:
        device: Where the network runs.
        parameter_count: Number of its parameters.

    Yields:
        Nothing.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    if device.type == "cpu" and parameter_count < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # no uninitialised memory is read
    try:
        yield
    finally:
        settings.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of one device.

    `torch.manual_seed` seeds all devices, which is slow once per step.

    Args:
        seed: The seed.
        device: Where the network runs.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
