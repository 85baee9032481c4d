"""Work of a pass of Wan 2.1 1.3B at 17 frames, counted on the meta device."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from analyses.cost.meta_counts import OperatorCounts, flash_attention, wan_1_3b
from tqd_probe import per_clip_gradients

CLIPS, LATENT, TEXT = 2, (16, 5, 60, 104), (512, 4096)  # 17 frames of 480 x 832
PRODUCTS = ("mm", "addmm", "bmm", "convolution", "convolution_backward")


class Counted:
    """What one pass costs."""

    def __init__(self, run):
        with flash_attention(), FlopCounterMode(display=False) as flops:
            with OperatorCounts() as counts:
                self.result = run()
        self.kernels, self.bytes = counts.kernels, counts.bytes
        by_operator = flops.get_flop_counts()["Global"]
        self.products = sum(
            count
            for operator, count in by_operator.items()
            if str(operator).removeprefix("aten.") in PRODUCTS
        )


@pytest.fixture(scope="module")
def passes():
    """A plain pass, and a sketched one."""
    network = wan_1_3b()
    with torch.device("meta"):
        x, target = torch.empty(2, CLIPS, *LATENT, dtype=torch.bfloat16).unbind()
        text = torch.empty(CLIPS, *TEXT, dtype=torch.bfloat16)
        time = torch.empty(CLIPS)

    def losses():
        out = network(x, time, text, return_dict=False)[0]
        return (out.float() - target).square().flatten(1).mean(1)

    def plain():
        losses().sum().backward()
        network.zero_grad()

    def sketched():
        return per_clip_gradients(network, losses, CLIPS, sketch=49_152)

    return Counted(plain), Counted(sketched)


@pytest.mark.long
def test_a_sketched_pass_is_as_thin_as_a_plain_one(passes):
    plain, sketched = passes
    assert plain.kernels > 7000
    assert sketched.kernels <= 1.15 * plain.kernels
    assert sketched.bytes <= 1.0 * plain.bytes
    # Attention costs the same in both; without the products of weight gradients two
    # thirds of the layers' are left.
    assert 2 / 3 * plain.products < sketched.products <= 0.69 * plain.products


@pytest.mark.long
def test_sketches_are_float32_and_of_the_size_asked_for(passes):
    result = passes[1].result
    assert result.shape == (CLIPS, 49_152)
    assert result.dtype == torch.float32
