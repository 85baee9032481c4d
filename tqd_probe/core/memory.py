"""How much memory a piece of work needs at its peak, and how much is free."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import torch


class MemoryProbe:
    """Measures the peak of a block above what was in use before it.

    On a GPU torch counts it; on Linux the kernel does (its peak is reset first, which
    needs ``/proc/self/clear_refs``). Where neither can tell, `used` stays 0.

    Attributes:
        used: Bytes at the peak, above those in use before.
        free: Bytes that were free before.
    """

    def __init__(self, device: str) -> None:
        """Prepare to measure.

        Args:
            device: The torch device on which the work runs.
        """
        self._cuda = torch.device(device).type == "cuda"
        self._device = device
        self.used, self.free, self._before = 0, 0, 0

    def __enter__(self) -> MemoryProbe:
        """Begin.

        Returns:
            The probe.
        """
        gc.collect()
        if self._cuda:
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
            self.free = torch.cuda.mem_get_info(self._device)[0]
            return self
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _kilobytes("/proc/self/status", "VmRSS")
        self.free = _kilobytes("/proc/meminfo", "MemAvailable")
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
            peak = _kilobytes("/proc/self/status", "VmHWM")
        self.used = max(0, peak - self._before)


def _kilobytes(path: str, field: str) -> int:
    """Read a field of a file in /proc in bytes; 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    return 0
