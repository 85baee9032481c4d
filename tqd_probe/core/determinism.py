"""Deterministic torch: a resumed run gives the same bits as an uninterrupted one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tqd_probe.core.errors import InputError

ONE_THREAD_BELOW = 10_000_000  # parameters
# cuDNN's attention has no deterministic backward pass. These have one, which they take
# where torch refuses other kernels (warn_only=False), not where it only warns.
ATTENTION = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
NO_KERNEL = "does not have a deterministic implementation"


@contextmanager
def deterministic(
    device: torch.device, parameter_count: int, exact: bool = True
) -> Iterator[None]:
    """Use deterministic kernels in a block, and one thread for small CPU networks.

    The layers of a small network are short: waking a second thread for each costs more
    than it saves. The number of threads decides how sums are rounded, so the same rule
    holds for all runs.

    Args:
        device: Where the network runs.
        parameter_count: Number of its parameters.
        exact: Insist on deterministic kernels on a GPU, attention among them. Without,
            the fastest are taken there. A CPU's are deterministic either way.

    Yields:
        Nothing.

    Raises:
        InputError: If the network needs an operator without a deterministic kernel.
        RuntimeError: Whatever else torch raises in the block.
    """
    cpu = device.type == "cpu"
    before = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    if cpu and parameter_count < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    if not cpu:  # cuBLAS reads it with the first product of a deterministic block
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(cpu or exact, warn_only=cpu)
    settings.fill_uninitialized_memory = False  # no uninitialised memory is read
    try:
        with nullcontext() if cpu or not exact else sdpa_kernel(ATTENTION):
            yield
    except RuntimeError as error:
        if cpu or not exact or NO_KERNEL not in str(error):
            raise
        operator = str(error).split(NO_KERNEL)[0].strip()
        raise InputError(
            f"--exact-resume on: {operator} has no deterministic kernel on a GPU; use"
            " --exact-resume off"
        ) from error
    finally:
        settings.fill_uninitialized_memory = filled
        torch.set_deterministic_debug_mode(before[0])
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
