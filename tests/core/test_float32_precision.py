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
