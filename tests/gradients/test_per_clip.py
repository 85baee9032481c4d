"""The public function, on networks that are no diffusers pipelines."""

import pytest
import torch
from torch import nn

from tqd_probe import per_clip_gradients
from tqd_probe.core.errors import GradientError, InputError


class Mixer(nn.Module):
    """Layers of every kind with a rule, and parameters of its own."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(5, 12)
        self.conv = nn.Conv1d(12, 12, 3, padding=1)
        self.norm = nn.RMSNorm(12)
        self.blocks = nn.ModuleList(nn.Linear(12, 12) for _ in range(2))
        self.gate = nn.Parameter(torch.randn(12))

    def forward(self, indices):
        h = self.conv(self.tokens(indices).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            h = h + self.gate * block(self.norm(h)).tanh()
        return h.square().sum((1, 2))


@pytest.fixture
def mixer():
    torch.manual_seed(0)
    return Mixer(), torch.randint(0, 5, (4, 7))


def loop(network, indices):
    """One backward pass per clip."""
    rows = []
    for clip in range(len(indices)):
        parts = torch.autograd.grad(
            network(indices[clip : clip + 1]).sum(), list(network.parameters())
        )
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


def test_whole_gradients_are_in_the_order_of_named_parameters(mixer):
    network, indices = mixer
    found = per_clip_gradients(network, lambda: network(indices), 4)
    torch.testing.assert_close(found, loop(network, indices), rtol=1e-4, atol=1e-5)
    some = per_clip_gradients(network, lambda: network(indices), 4, params="^gate$")
    torch.testing.assert_close(some, found[:, :12])  # gate comes first


def test_sketches_of_two_calls_belong_together(mixer):
    network, indices = mixer
    whole = loop(network, indices).double()
    one = per_clip_gradients(network, lambda: network(indices[:2]), 2, sketch=4096)
    two = per_clip_gradients(network, lambda: network(indices[2:]), 2, sketch=4096)
    found = torch.cat([one, two]).double()
    products, truth = found @ found.T, whole @ whole.T
    scale = truth.diagonal().sqrt()
    # 708 parameters on 4,096 numbers: none collide
    assert ((products - truth) / scale / scale[:, None]).abs().max() < 1e-5


def test_what_cannot_be_captured_is_one_line(mixer):
    network, indices = mixer
    with pytest.raises(InputError, match="matches no parameter"):
        per_clip_gradients(network, lambda: network(indices), 4, params="nothing")
    with pytest.raises(InputError, match="--sketch 3: too small"):
        per_clip_gradients(network, lambda: network(indices), 4, sketch=3)
    with pytest.raises(GradientError, match="sees 4 rows for 3 clips"):
        per_clip_gradients(network, lambda: network(indices), 3)


class Writing(nn.Module):
    """Writes into the output of a layer, as some attention does after its norms."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 6), nn.LayerNorm(6)

    def forward(self, x):
        h = self.norm(self.linear(x))
        h[:, 1:] = 1 + h[:, 1:] / 2
        return h.square().sum((1, 2))


def test_outputs_that_are_written_into_are_copied():
    torch.manual_seed(0)
    network, x = Writing(), torch.randn(3, 4, 6)
    found = per_clip_gradients(network, lambda: network(x), 3)
    torch.testing.assert_close(found, loop(network, x), rtol=1e-4, atol=1e-5)
