"""Free memory of a device, the peak memory of a piece of work, and a lack of memory."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import torch

MESSAGES = (
    "can't allocate memory",  # torch's allocator on a CPU
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",  # cuBLAS and cuDNN
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that caused it, is a lack of memory.

    Args:
        error: What was raised.

    Returns:
        True for errors of torch's allocators, on a GPU or a CPU, and of Python's.
    """
    while error is not None:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return True
        text = str(error)
        if isinstance(error, RuntimeError) and any(part in text for part in MESSAGES):
            return True
        error = error.__cause__
    return False


def free_bytes(device: torch.device | str) -> int:
    """Return the memory that an allocation on a device can still get.

    On a GPU, blocks that torch's allocator holds without using them count as free. On
    the CPU, so does the page cache, which the kernel gives up when asked.

    Args:
        device: A torch device.

    Returns:
        Free bytes; of the machine for the CPU.
    """
    if torch.device(device).type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    available = _field_bytes("/proc/meminfo", "MemAvailable")
    if available:
        return available
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class PeakMemory:
    """Measures the peak memory of a block above what was in use before it.

    On a GPU torch counts it; on Linux the kernel does (its peak is reset first, which
    needs ``/proc/self/clear_refs``). Where neither can tell, `used` stays 0.

    Attributes:
        used: Bytes at the peak, above those in use before.
        free: Bytes that were free before (`free_bytes`).
    """

    def __init__(self, device: torch.device | str) -> None:
        """Prepare to measure.

        Args:
            device: The torch device on which the work runs.
        """
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self.used, self.free, self._before = 0, 0, 0

    def __enter__(self) -> PeakMemory:
        """Begin.

        Returns:
            This object.
        """
        gc.collect()
        if self._cuda:
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            self._before = _field_bytes("/proc/self/status", "VmRSS")
        self.free = free_bytes(self._device)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
            peak = torch.cuda.max_memory_allocated(self._device)
        else:
            peak = _field_bytes("/proc/self/status", "VmHWM")
        self.used = max(0, peak - self._before)


def _field_bytes(path: str, field: str) -> int:
    """Read a field in kilobytes of a file in /proc; 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    return 0
