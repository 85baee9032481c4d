"""Parameters outside of layers, against loops of plain autograd."""

import pytest
import torch
from torch import nn

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.layout import make_layout


class Table(nn.Module):
    """A table that meets something per clip in one of several ways."""

    def __init__(self, use):
        super().__init__()
        self.table = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
        self.use = use

    def forward(self, x):
        return self.use(self.table, x).sin().flatten(1).sum(1)


def layout_of(network):
    return make_layout(network, {"all": [n for n, _ in network.named_parameters()]})


@pytest.mark.parametrize(
    "use",
    [
        lambda table, x: x + table[None],
        lambda table, x: table[None] - x,
        lambda table, x: x - table[None],
        lambda table, x: table[None] * x,
        lambda table, x: x * torch.tanh(table.float()[None].double()),
        lambda table, x: x * table.chunk(3)[1][None] + table.expand(5, -1, -1),
        lambda table, x: nn.functional.linear(x, table, table.sum(1)),
        lambda table, x: x @ table[:, :2].repeat(2, 1)[:4],
        lambda table, x: x + torch.cat([table, table])[1:4][None],
    ],
    ids=[
        "add",
        "table - x",
        "x - table",
        "multiply",
        "function",
        "part and spread",
        "linear",
        "matrix product",
        "list",
    ],
)
def test_gradients_per_clip_equal_a_loop(use):
    torch.manual_seed(0)
    network = Table(use)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    engine = GradientCapture(network, layout_of(network))
    found, _ = engine.per_clip(lambda: network(x), 5)
    for clip in range(5):

        def alone(table, clip=clip):
            value = torch.zeros_like(x)
            value[clip] = x[clip]
            return use(table, value).sin().flatten(1).sum(1)[clip]

        truth = torch.func.grad(alone)(network.table.detach())
        torch.testing.assert_close(
            found[clip], truth.flatten(), rtol=1e-6, atol=1e-9, check_dtype=False
        )


def test_unknown_use_of_a_bare_parameter_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 3))

        def forward(self, x):
            return torch.einsum("bi,ij->bj", x, self.weight)

    network = Odd()
    engine = GradientCapture(network, layout_of(network))
    with pytest.raises(GradientError, match="parameter weight: used by 'einsum'"):
        engine.per_clip(lambda: network(torch.ones(4, 3)).sum(1), 4)
