"""The device of tests marked `gpu`.

Every test is a function of the device: with TQD_PROBE_TEST_DEVICE=cpu they run, slowly,
where there is no GPU.
"""

import os

import pytest
import torch


@pytest.fixture
def device():
    name = os.environ.get("TQD_PROBE_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device; TQD_PROBE_TEST_DEVICE=cpu runs the same on a CPU")
    yield name
    if name == "cuda":
        torch.cuda.empty_cache()
