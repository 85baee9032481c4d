"""Every rule against autograd: the gradient of one clip's loss after the other."""

import pytest
import torch
from diffusers.models.normalization import RMSNorm
from torch import nn

from tqd_probe.gradients.layers import factors_of, rule_of

LAYERS = {
    "linear": (nn.Linear(3, 4), (4, 5, 3)),
    "linear without bias": (nn.Linear(3, 4, bias=False), (4, 3)),
    "patches": (nn.Conv3d(2, 3, (1, 2, 2), stride=(1, 2, 2)), (4, 2, 2, 4, 6)),
    "patches with a remainder": (nn.Conv2d(2, 3, 2, stride=2), (4, 2, 5, 7)),
    "convolution": (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 4, 5, 5)),
    "layer norm": (nn.LayerNorm(6), (4, 3, 6)),
    "rms norm": (nn.RMSNorm(6, eps=1e-6), (4, 3, 6)),
    "rms norm of diffusers": (RMSNorm(6, eps=1e-6), (4, 3, 6)),
}


def by_autograd(layer, x, g, clips):
    """Gradients of ``sum(layer(x) g)``, clip by clip."""
    rows = []
    for part, weight in zip(x.chunk(clips), g.chunk(clips)):
        loss = (layer(part) * weight).sum()
        rows.append(torch.autograd.grad(loss, list(layer.parameters())))
    names = [name for name, _ in layer.named_parameters()]
    return {name: torch.stack(parts) for name, parts in zip(names, zip(*rows))}


@pytest.mark.parametrize("clips", [4, 2])  # one row per clip, and two
@pytest.mark.parametrize("name", LAYERS)
def test_a_rule_equals_autograd(name, clips):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    layer = layer.double()
    x = torch.randn(shape, dtype=torch.float64)
    g = torch.randn_like(layer(x))
    found = rule_of(layer)(layer, x, g, clips)
    truth = by_autograd(layer, x, g, clips)
    assert found.keys() == truth.keys()
    near = 1e-6 if name.endswith("diffusers") else 1e-10  # it squares in float32
    for key, value in truth.items():
        torch.testing.assert_close(found[key], value, rtol=near, atol=near)


def test_an_embedding_sums_over_the_uses_of_a_row():
    layer = nn.Embedding(7, 3).double()
    x = torch.tensor([[0, 2, 2], [6, 0, 1]])
    g = torch.randn(2, 3, 3, dtype=torch.float64)
    found = rule_of(layer)(layer, x, g, 2)
    torch.testing.assert_close(found["weight"], by_autograd(layer, x, g, 2)["weight"])


def test_factors_multiply_to_the_gradient_of_a_linear_layer():
    layer = nn.Linear(3, 4).double()
    x, g = torch.randn(2, 5, 3).double(), torch.randn(2, 5, 4).double()
    left, right = factors_of(layer)(layer, x, g, 2)
    product = torch.bmm(left.transpose(1, 2), right)
    torch.testing.assert_close(product, by_autograd(layer, x, g, 2)["weight"])


def test_layers_without_a_rule():
    assert rule_of(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")) is None
    assert rule_of(nn.Conv2d(1, 1, 3, padding="same")) is None
    assert rule_of(nn.BatchNorm1d(3)) is None
    assert factors_of(nn.LayerNorm(3)) is None
