import os

import pytest
import torch

from tqd_probe.core.determinism import ONE_THREAD_BELOW, deterministic
from tqd_probe.core.errors import InputError


@pytest.mark.parametrize(("count", "one"), [(10, True), (ONE_THREAD_BELOW, False)])
def test_settings_hold_inside_and_are_restored(count, one):
    threads = torch.get_num_threads()
    with deterministic(torch.device("cpu"), count):
        assert torch.are_deterministic_algorithms_enabled()
        assert (torch.get_num_threads() == 1) == (one or threads == 1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads


def test_a_gpu_runs_without_the_attention_that_is_not_deterministic(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    with deterministic(torch.device("cuda"), 10):
        assert torch.get_deterministic_debug_mode() == 2  # refuse, do not only warn
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
    assert torch.get_deterministic_debug_mode() == 0
    with deterministic(torch.device("cuda"), 10, exact=False):
        assert torch.get_deterministic_debug_mode() == 0
        assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_a_network_without_deterministic_kernels_is_refused_in_one_line():
    text = "put_ does not have a deterministic implementation, but you set 'torch.use"
    with (
        pytest.raises(InputError, match=r"^--exact-resume on: put_ has no determini"),
        deterministic(torch.device("cuda"), 10),
    ):
        raise RuntimeError(text)
    with (
        pytest.raises(RuntimeError, match="does not have"),
        deterministic(torch.device("cuda"), 10, exact=False),
    ):
        raise RuntimeError(text)


def test_what_was_set_before_is_set_again():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic(torch.device("cuda"), 10):
            pass
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.use_deterministic_algorithms(False)
