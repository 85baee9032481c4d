import pytest
import torch

from tqd_probe.core.float32_precision import float32_precision, uses_tf32


def in_force():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("tf32", [True, False])
def test_products_and_convolutions_are_set_together_and_restored(tf32):
    before = in_force()
    with pytest.raises(KeyError), float32_precision(tf32):
        assert in_force() == (tf32, tf32)
        with float32_precision(not tf32):
            assert in_force() == (not tf32, not tf32)
        assert in_force() == (tf32, tf32)
        assert uses_tf32("cuda:1") == tf32
        assert not uses_tf32("cpu")
        raise KeyError
    assert in_force() == before


@pytest.fixture
def newer_switches():
    """Torch's own newer switches, as a program may have set them; put back after."""
    parts = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    parts += (torch.backends.cudnn.rnn,)
    before = [part.fp32_precision for part in parts]
    old = in_force()
    yield parts
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = old
    for part, value in zip(parts, before):
        part.fp32_precision = value


def test_a_program_that_uses_the_newer_switches_gets_them_back(newer_switches):
    chosen = ["tf32", "ieee", "tf32"]
    for part, value in zip(newer_switches, chosen):
        part.fp32_precision = value
    with pytest.raises(RuntimeError, match="mix"):
        in_force()
    for tf32 in (True, False):
        with float32_precision(tf32):
            assert in_force() == (tf32, tf32)
        assert [part.fp32_precision for part in newer_switches] == chosen
