import pytest
import torch
from torch import nn
from wan_gradients import capture, layout_of, relative, wan_loss

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.layout import make_layout


def test_every_kind_of_parameter_is_in_the_fixture(wan):
    owners = {type(m).__name__ for m in wan.modules() if m._parameters}
    assert {"Linear", "Conv3d", "RMSNorm", "WanTransformerBlock"} <= owners
    names = [name for name, _ in wan.named_parameters()]
    assert any(name.endswith("norm_q.weight") for name in names)
    assert sum(name.endswith("scale_shift_table") for name in names) == 3


def test_float32_equals_the_oracle(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    found = capture(wan, wan_layout, wan_batch)
    assert found.dtype == torch.float32
    assert relative(found, truth) < 1e-5


def test_float64_equals_the_oracle(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    with reference.double_precision():
        found = capture(wan.double(), wan_layout, wan_batch)
    assert found.dtype == torch.float64
    assert relative(found, truth) < 1e-10


def test_every_parameter_equals_the_oracle(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    with reference.double_precision():
        found = capture(wan.double(), wan_layout, wan_batch)
    scale = truth.norm()
    for name, (start, stop) in wan_layout.parameters.items():
        part, right = found[:, start:stop], truth[:, start:stop]
        assert (part - right).norm() < 1e-10 * max(right.norm(), 1e-6 * scale), name


def test_batch_of_eight_equals_eight_batches_of_one(wan, wan_batch, wan_layout):
    together = capture(wan, wan_layout, wan_batch)
    alone = torch.cat(
        [
            capture(wan, wan_layout, [part[i : i + 1] for part in wan_batch])
            for i in range(8)
        ]
    )
    assert relative(together, alone.double()) < 1e-5


def test_per_token_timesteps_equal_the_oracle(wan, wan_batch, wan_layout):
    x, sigma, text, target = wan_batch
    tokens = sigma[:, None] * torch.linspace(0.5, 1, 18, dtype=torch.float64)
    batch = (x, tokens, text, target)
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, batch)
    with reference.double_precision():
        found = capture(wan.double(), wan_layout, batch)
    assert relative(found, truth) < 1e-10


def test_gradient_checkpointing_changes_nothing(wan, wan_batch, wan_layout):
    plain = capture(wan, wan_layout, wan_batch)
    wan.enable_gradient_checkpointing()
    wan.train()  # diffusers checkpoints only then
    again = capture(wan, wan_layout, wan_batch)
    assert torch.equal(plain, again)


def test_a_compiled_network_gives_the_same(wan, wan_batch, wan_layout):
    plain = capture(wan, wan_layout, wan_batch)
    for block in wan.blocks:
        block.compile(backend="eager")
    assert torch.equal(capture(wan, wan_layout, wan_batch), plain)
    assert all(block._compiled_call_impl is not None for block in wan.blocks)


def test_covered_share_is_one(wan, wan_batch, wan_layout):
    engine = GradientCapture(wan, wan_layout)
    share = engine.covered_share(lambda: wan_loss(wan, wan_batch), 8)
    assert abs(share - 1) < 1e-6


def test_a_dropped_parameter_lowers_the_covered_share(wan, wan_batch, wan_layout):
    engine = GradientCapture(wan, wan_layout)
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch).sum(0)
    lost = [name for _, names in engine._shared for name in names.values()]
    missing = sum(
        float(truth[slice(*wan_layout.parameters[n])].square().sum()) for n in lost
    )
    engine._shared = []
    share = engine.covered_share(lambda: wan_loss(wan, wan_batch), 8)
    expected = 1 - missing / float(truth.square().sum())
    assert expected < 0.999
    assert share == pytest.approx(expected, abs=1e-5)


def test_capture_leaves_the_network_as_it_was(wan, wan_batch, wan_layout):
    before = {name: (p.requires_grad, id(p)) for name, p in wan.named_parameters()}
    capture(wan, wan_layout, wan_batch)
    after = {name: (p.requires_grad, id(p)) for name, p in wan.named_parameters()}
    assert before == after
    assert not any(m._forward_hooks for m in wan.modules())
    assert all(p.grad is None for p in wan.parameters())


def test_a_regular_expression_selects_parameters(wan, wan_batch, wan_layout):
    some = make_layout(wan, {"all": list(wan_layout.parameters)}, r"attn1\.to_q")
    full, part = (capture(wan, each, wan_batch) for each in (wan_layout, some))
    picked = torch.cat(
        [full[:, slice(*wan_layout.parameters[name])] for name in some.parameters], 1
    )
    assert len(some.parameters) == 4
    torch.testing.assert_close(part, picked, rtol=1e-5, atol=1e-7)


class Zoo(nn.Module):
    """Layers and bare parameters that Wan does not have."""

    def __init__(self):
        super().__init__()
        self.conv2 = nn.Conv2d(3, 4, 3, padding=1, stride=2, groups=1)
        self.conv1 = nn.Conv1d(4, 4, 3, groups=2)
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.table = nn.Parameter(torch.randn(3, 4))
        self.scale = nn.Parameter(torch.randn(4))
        self.tokens = nn.Parameter(torch.randn(1, 2, 4))

    def forward(self, x):
        h = self.conv2(x).flatten(2)
        h = self.conv1(h).transpose(1, 2)
        shift, gain, gate = (
            self.table[None, None] + h[:, :3].mean(1)[:, None, None]
        ).unbind(2)
        h = self.linear(h) * (1 + gain) + shift  # the layer is used twice: shared
        h = self.norm(self.linear(h)) * torch.tanh(self.scale)
        first, second = self.table.chunk(3)[:2]
        h = torch.cat([self.tokens.expand(len(x), -1, -1), h], 1) * first - second
        return (h.sin() * gate).sum((1, 2)) + (1.5 - self.scale).sum() * h.mean((1, 2))


def test_other_layers_shared_layers_and_bare_parameters_equal_the_oracle():
    torch.manual_seed(0)
    network = Zoo()
    layout = layout_of(network)
    batch = [torch.randn(5, 3, 8, 8, dtype=torch.float64)]

    def loss(net, batch):
        return net(batch[0].to(next(net.parameters()).dtype))

    truth = reference.reference_gradients(network, layout, loss, batch)
    found = capture(network.double(), layout, batch, loss)
    for name, (start, stop) in layout.parameters.items():
        torch.testing.assert_close(
            found[:, start:stop], truth[:, start:stop], rtol=1e-9, atol=1e-11, msg=name
        )


def test_bfloat16_products_are_summed_in_float32(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    for name, module in wan.named_modules():
        if isinstance(module, nn.Linear) and "time_embedder" not in name:
            module.bfloat16()

    def loss(network, batch):
        x, sigma, text, target = (part.float() for part in batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = network(x, 1000 * sigma, text).sample
        return (out.float() - target).square().flatten(1).mean(1)

    found = capture(wan, wan_layout, wan_batch, loss)
    assert found.dtype == torch.float32
    cosine = torch.cosine_similarity(found.double(), truth, dim=1)
    assert cosine.min() > 0.99


def test_broadcast_input_is_refused():
    network = nn.Sequential(nn.Linear(3, 3))
    engine = GradientCapture(network, layout_of(network))
    with pytest.raises(GradientError, match=r"0.weight: sees 1 rows for 4 clips"):
        engine.per_clip(lambda: network(torch.ones(1, 3)).sum().expand(4), 4)


def test_batch_norm_is_refused():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(GradientError, match="batch norm mixes clips"):
        GradientCapture(network, layout_of(network))


def test_input_changed_in_place_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            out = self.linear(x)
            x.mul_(2)
            return out

    network = Odd()
    engine = GradientCapture(network, layout_of(network))
    with pytest.raises(GradientError, match="changed in place"):
        engine.per_clip(lambda: network(torch.ones(4, 3)).sum(1), 4)
