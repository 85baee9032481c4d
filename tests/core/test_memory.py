import numpy as np
import pytest
import torch

from tqd_probe.core import memory
from tqd_probe.core.memory import PeakMemory, free_bytes, is_out_of_memory
from tqd_probe.models import activation_memory


def test_the_page_cache_counts_as_free(monkeypatch):
    fields = {"MemAvailable": 9_000_000_000}
    monkeypatch.setattr(
        memory, "_field_bytes", lambda path, field: fields.get(field, 0)
    )
    assert free_bytes("cpu") == 9_000_000_000
    fields.clear()  # not Linux
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 4096)
    assert free_bytes("cpu") == 4096**2


def test_what_the_allocator_holds_unused_counts_as_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert free_bytes(torch.device("cuda:0")) == 1300


def test_there_is_one_measure_of_free_memory(monkeypatch):
    monkeypatch.setattr(memory, "_field_bytes", lambda path, field: 12345)
    with PeakMemory("cpu") as peak:
        pass
    assert peak.free == free_bytes("cpu") == activation_memory.free_bytes("cpu")


def test_allocators_are_understood():
    for allocate in (
        lambda: torch.empty(10**15),
        lambda: np.empty(10**16),
        lambda: torch.empty(10**15, dtype=torch.bfloat16),
    ):
        with pytest.raises((RuntimeError, MemoryError)) as error:
            allocate()
        assert is_out_of_memory(error.value)
        outer = ValueError("wrapped")
        outer.__cause__ = error.value
        assert is_out_of_memory(outer)
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))
