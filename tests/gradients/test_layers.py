"""Every rule against autograd: the gradient of one clip's loss after the other."""

import pytest
import torch
from diffusers.models.normalization import RMSNorm
from torch import nn

from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.layers import rule_of, scale_tells_input
from tqd_probe.gradients.layout import make_layout

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


def captured(layer, x, g, clips):
    """Per-clip gradients of ``sum(layer(x) g)``, by parameter."""
    layout = make_layout(layer, {"all": [name for name, _ in layer.named_parameters()]})
    found, _ = GradientCapture(layer, layout).per_clip(
        lambda: (layer(x) * g).reshape(clips, -1).sum(1), clips
    )
    return {
        name: found[:, start:stop].view(clips, *layout.shapes[name])
        for name, (start, stop) in layout.parameters.items()
    }


@pytest.mark.parametrize("clips", [4, 2])  # one row per clip, and two
@pytest.mark.parametrize("name", LAYERS)
def test_a_rule_equals_autograd(name, clips):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    layer = layer.double()
    x = torch.randn(shape, dtype=torch.float64)
    g = torch.randn_like(layer(x))
    assert rule_of(layer) is not None
    found, truth = captured(layer, x, g, clips), by_autograd(layer, x, g, clips)
    near = 1e-6 if name.endswith("diffusers") else 1e-10  # it squares in float32
    for key, value in truth.items():
        torch.testing.assert_close(found[key], value, rtol=near, atol=near)


def test_an_embedding_sums_over_the_uses_of_a_row():
    layer = nn.Embedding(7, 3).double()
    x = torch.tensor([[0, 2, 2], [6, 0, 1]])
    g = torch.randn(2, 3, 3, dtype=torch.float64)
    truth = by_autograd(layer, x, g, 2)["weight"]
    torch.testing.assert_close(captured(layer, x, g, 2)["weight"], truth)


def test_a_norm_with_a_scale_of_zero_is_captured_from_its_input():
    torch.manual_seed(0)
    layer = nn.RMSNorm(6, eps=1e-6).double()
    layer.weight.data.uniform_(-1, 1)
    assert scale_tells_input(layer)
    layer.weight.data[2] = 0
    assert not scale_tells_input(layer)
    x, g = torch.randn(2, 3, 5, 6).double().unbind()
    truth = by_autograd(layer, x, g, 3)["weight"]
    assert truth[:, 2].abs().min() > 0.01
    torch.testing.assert_close(captured(layer, x, g, 3)["weight"], truth)
    assert not scale_tells_input(nn.LayerNorm(6))


def test_layers_without_a_rule():
    assert rule_of(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")) is None
    assert rule_of(nn.Conv2d(1, 1, 3, padding="same")) is None
    assert rule_of(nn.BatchNorm1d(3)) is None
