import pytest
import torch

from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import InputError


def test_devices_resolve_to_what_the_machine_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(InputError, match="--device cuda: no GPU is available"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="--device cuda:2: this machine has 2 GPUs"):
        resolve_device("cuda:2")
    assert not torch.cuda.is_initialized()
