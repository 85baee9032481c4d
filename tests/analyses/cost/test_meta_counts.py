"""What is counted on the meta device, against numbers known by hand and measured."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from analyses.cost.meta_counts import (
    LiveMemory,
    OperatorCounts,
    gpu_kernels,
    wan_1_3b,
)

# GB at the peak on an H100: latent frames, clips, plain pass, activations alone.
MEASURED = [(5, 2, 56.9, 33.9), (9, 1, 51.3, 30.7)]


def meta(*shape, dtype=torch.float32, **options):
    return torch.empty(*shape, dtype=dtype, device="meta", **options)


def test_kernels_and_bytes_of_a_product_and_a_sum():
    a, b, row = meta(8, 16), meta(16, 32), meta(1, 32)
    with OperatorCounts() as counts:
        product = (a @ b).view(4, 64).t()
        product + row.expand(8, 32).reshape(4, 64).t()
    assert counts.kernels_by_operator == {
        "aten::mm": 1,
        "aten::clone": 1,  # of the expanded row
        "aten::add.Tensor": 1,
    }
    assert counts.bytes_by_operator["aten::mm"] == 4 * (8 * 16 + 16 * 32 + 8 * 32)
    assert counts.bytes_by_operator["aten::clone"] == 4 * (32 + 8 * 32)
    assert counts.kernels == 3


def test_storages_live_until_the_last_view_and_the_last_saved_tensor_are_gone():
    weight, x = meta(256, 256, requires_grad=True), meta(128, 256)
    with LiveMemory() as memory:
        memory.hold([weight, x])
        held = memory.live
        assert held == 4 * (256 * 256 + 128 * 256)
        view = (x * 2)[:1].t()
        assert memory.live == held + 4 * 128 * 256
        del view
        assert memory.live == held
        loss = (x @ weight).relu().sum()  # keeps relu's output; the sum keeps nothing
        assert memory.live == held + 4 * 128 * 256 + 512
        loss.backward()
        assert memory.live == held + 512 + 4 * 256 * 256  # with `.grad`
        del loss
        assert memory.live == held + 4 * 256 * 256
    assert memory.peak > memory.live


def test_norms_and_attention_of_a_gpu_are_one_kernel_each_and_keep_their_inputs():
    norm = nn.RMSNorm(64, device="meta", dtype=torch.bfloat16)
    q = meta(1, 4, 1024, 64, dtype=torch.bfloat16, requires_grad=True)
    size = 2 * 4 * 1024 * 64
    with gpu_kernels(), OperatorCounts() as counts, LiveMemory() as memory:
        memory.hold(q)
        y = norm(q)
        assert memory.live == size + size + 4 * 4 * 1024  # output, inverse roots
        z = F.scaled_dot_product_attention(y, y, y)
        forward = counts.kernels
        z.backward(y.detach())
    assert forward == 2
    assert counts.kernels == forward + 2 + 2  # sums of the three gradients of y
    assert q.grad.shape == q.shape
    assert norm.weight.grad.shape == (64,)


@pytest.mark.parametrize(("frames", "clips", "plain", "floor"), MEASURED)
def test_the_peak_at_real_size_is_what_was_measured(frames, clips, plain, floor):
    """Memory grows by as much with every block: 2 and 4 blocks tell that of 30."""
    found = {2: peaks(2, frames, clips), 4: peaks(4, frames, clips)}
    for name, wanted in (("plain", plain), ("floor", floor)):
        step = (found[4][name] - found[2][name]) / 2
        assert found[2][name] + 28 * step == pytest.approx(1e9 * wanted, rel=0.02)


def peaks(layers, frames, clips):
    network = wan_1_3b(layers)
    x = meta(clips, 16, frames, 60, 104, dtype=torch.bfloat16, requires_grad=True)
    text = meta(clips, 512, 4096, dtype=torch.bfloat16)
    found = {}
    for name in ("floor", "plain"):
        network.requires_grad_(name == "plain")
        with gpu_kernels(), LiveMemory() as memory:
            memory.hold([*network.parameters(), x, text])
            output = network(x, meta(clips), text, return_dict=False)[0]
            output.float().square().sum().backward()
        found[name] = memory.peak
    return found
