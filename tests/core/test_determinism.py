import pytest
import torch

from tqd_probe.core.determinism import ONE_THREAD_BELOW, deterministic


@pytest.mark.parametrize(("count", "one"), [(10, True), (ONE_THREAD_BELOW, False)])
def test_settings_hold_inside_and_are_restored(count, one):
    threads = torch.get_num_threads()
    with deterministic(torch.device("cpu"), count):
        assert torch.are_deterministic_algorithms_enabled()
        assert (torch.get_num_threads() == 1) == (one or threads == 1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
