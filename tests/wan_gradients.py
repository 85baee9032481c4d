"""Losses and gradients of the small Wan network of `conftest.wan`."""

from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.layout import make_layout


def wan_loss(network, batch):
    """Losses of a batch of latents, levels, text and targets."""
    x, sigma, text, target = batch
    dtype = next(network.parameters()).dtype
    out = network(x.to(dtype), (1000 * sigma).to(dtype), text.to(dtype)).sample
    return (out - target.to(dtype)).square().flatten(1).mean(1)


def capture(network, layout, batch, loss=wan_loss):
    """Per-clip gradients by the capture engine."""
    engine = GradientCapture(network, layout)
    return engine.per_clip(lambda: loss(network, batch), len(batch[0]))[0]


def relative(found, truth):
    """Largest relative error of a row."""
    return float(((found.double() - truth).norm(dim=1) / truth.norm(dim=1)).max())


def layout_of(network, only="all"):
    """A layout of parameters in one group."""
    groups = {"all": [n for n, _ in network.named_parameters()]}
    return make_layout(network, groups, only)
