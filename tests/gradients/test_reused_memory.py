"""Memory that nobody holds is used again."""

import torch

from tqd_probe.gradients.reused_memory import ReusedMemory

CPU = torch.device("cpu")


def test_memory_is_used_again_once_no_view_is_alive():
    memory = ReusedMemory()
    first = memory.take((3, 4), torch.float32, CPU)
    place = first.data_ptr()
    held = first[1:].numpy()
    del first
    other = memory.take((3, 4), torch.float32, CPU)
    assert other.data_ptr() != place
    held[:] = 7
    del held
    again = memory.take((3, 4), torch.float32, CPU)
    assert again.data_ptr() == place
    assert (again[1:] == 7).all()


def test_memory_of_another_size_or_type_is_given_up():
    memory = ReusedMemory()
    held = memory.take((3, 4), torch.float32, CPU)
    memory.take((5, 4), torch.float32, CPU)
    memory.take((3, 4), torch.float64, CPU)
    assert len(memory._tensors) == 2  # held, and the last
    assert memory.take((3, 4), torch.float32, CPU).data_ptr() != held.data_ptr()


def test_other_devices_have_allocators_of_their_own():
    memory = ReusedMemory()
    assert memory.take((2, 2), torch.float32, torch.device("meta")).is_meta
    assert memory._tensors == []
