import pytest
import torch
from torch import nn
from wan_gradients import relative, wan_loss

from tqd_probe.gradients import reference
from tqd_probe.gradients import sketch as sketching
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.kept_gradients import Sketched, Whole
from tqd_probe.gradients.layout import make_layout
from tqd_probe.gradients.metric import factored_metric, full_metric
from tqd_probe.gradients.second_moments import factored_squares
from tqd_probe.gradients.sketch import Sketch


@pytest.fixture
def rowed(monkeypatch):
    """Rows even in small layers, so that factors are used."""
    monkeypatch.setattr(sketching, "COLUMNS", 1)
    monkeypatch.setattr(sketching, "UNMEASURED_COLUMNS", 1)
    monkeypatch.setattr(sketching, "OUTSIDE_FACTOR", 2)


@pytest.mark.parametrize("exact_norms", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_sketches_equal_the_sketched_oracle(
    wan, wan_batch, wan_layout, rowed, exact_norms, checkpointing
):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    sketch = Sketch(wan_layout, 512)
    assert sum(sketch.columns(name) > 0 for name in wan_layout.parameters) > 10
    kept = Sketched(sketch, exact_norms)
    if checkpointing:  # torch's checkpoints do not know the oracle's float64 mode
        wan.enable_gradient_checkpointing()
        wan.train()
        engine, near = GradientCapture(wan, wan_layout, kept), 3e-5
        found = engine.capture(lambda: wan_loss(wan, wan_batch), 8)
    else:
        engine, near = GradientCapture(wan.double(), wan_layout, kept), 1e-10
        with reference.double_precision():
            found = engine.capture(lambda: wan_loss(wan, wan_batch), 8)
    assert relative(found.gradients, sketch.of_flat(truth)) < near
    norms = torch.stack(
        [truth[:, a:b].square().sum(1) for a, b in wan_layout.groups.values()], 1
    )
    if exact_norms:
        assert relative(found.norms, norms) < near
    else:
        assert found.norms.isnan().all()


def test_float32_and_bfloat16_sketches_agree(wan, wan_batch, wan_layout, rowed):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    sketch = Sketch(wan_layout, 512)
    wanted = sketch.of_flat(truth)
    engine = GradientCapture(wan, wan_layout, Sketched(sketch))
    single, _ = engine.per_clip(lambda: wan_loss(wan, wan_batch), 8)
    assert single.dtype == torch.float32
    assert relative(single, wanted) < 3e-5
    keep = ("time_embedder", "scale_shift_table", "norm")
    for name, parameter in wan.named_parameters():
        if not any(part in name for part in keep):
            parameter.data = parameter.data.bfloat16()
    half, _ = engine.per_clip(lambda: wan_loss_bf16(wan, wan_batch), 8)
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(half.double(), wanted).min() > 0.99


def wan_loss_bf16(network, batch):
    x, sigma, text, target = (part.float() for part in batch)
    out = network(x.bfloat16(), 1000 * sigma, text.bfloat16()).sample
    return (out.float() - target).square().flatten(1).mean(1)


def test_covered_share_of_sketches(wan, wan_batch, wan_layout, rowed):
    engine = GradientCapture(wan, wan_layout, Sketched(Sketch(wan_layout, 4096)))
    share = engine.covered_share(lambda: wan_loss(wan, wan_batch), 8)
    assert abs(share - 1) < 1e-6
    engine._layers = engine._layers[:-8]
    assert engine.covered_share(lambda: wan_loss(wan, wan_batch), 8) < 0.99


def metric_of(layout, truth, power=0.5):
    """The factored metric of some gradients."""
    moments = torch.cat(
        [
            factored_squares(truth[:, a:b], layout.shapes[name]).mean(0)
            for name, (a, b) in layout.parameters.items()
        ]
    )
    return factored_metric(layout, moments, power, torch.device("cpu"))


def weighed(metric, gradients):
    """Gradients multiplied by a metric's factors, parameter by parameter."""
    parts = [
        metric.scaled(name, gradients[:, a:b].reshape(-1, *metric.layout.shapes[name]))
        for name, (a, b) in metric.layout.parameters.items()
    ]
    return torch.cat([part.flatten(1) for part in parts], 1)


@pytest.mark.parametrize("exact_norms", [False, True])
def test_sketches_in_the_metric_equal_those_of_scaled_gradients(
    wan, wan_batch, wan_layout, rowed, exact_norms
):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    metric = metric_of(wan_layout, truth)
    wanted = weighed(metric, truth)
    sketch = Sketch(wan_layout, 512, metric=metric)
    kept = Sketched(sketch, exact_norms)
    with reference.double_precision():
        found = GradientCapture(wan.double(), wan_layout, kept).capture(
            lambda: wan_loss(wan, wan_batch), 8
        )
    assert relative(found.gradients, sketch.of_flat(truth)) < 1e-10
    assert relative(found.gradients, Sketch(wan_layout, 512).of_flat(wanted)) < 1e-6
    norms = [wanted[:, a:b].square().sum(1) for a, b in wan_layout.groups.values()]
    if exact_norms:
        assert relative(found.norms, torch.stack(norms, 1)) < 1e-10
    else:
        assert found.norms.isnan().all()


def test_norms_of_formed_groups_are_in_the_metric(wan, wan_batch, wan_layout):
    """No layer of this one is large enough to be projected."""
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    metric = metric_of(wan_layout, truth, power=1.0)
    kept = Sketched(Sketch(wan_layout, 512, metric=metric))
    with reference.double_precision():
        found = GradientCapture(wan.double(), wan_layout, kept).capture(
            lambda: wan_loss(wan, wan_batch), 8
        )
    wanted = weighed(metric, truth).square().sum(1, keepdim=True)
    assert relative(found.norms, wanted) < 1e-10


def test_whole_gradients_in_the_metric_equal_scaled_ones(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    metric = full_metric(wan_layout, truth.square().mean(0), 0.5, torch.device("cpu"))
    with reference.double_precision():
        found = GradientCapture(
            wan.double(), wan_layout, Whole(wan_layout, metric)
        ).capture(lambda: wan_loss(wan, wan_batch), 8)
    assert relative(found.gradients, truth * metric.scale) < 1e-10


def test_gradients_that_nobody_holds_leave_memory_before_the_next_pass(
    wan, wan_batch, wan_layout
):
    """A GPU would hold those of two passes; a CPU uses the memory again."""
    engine = GradientCapture(wan, wan_layout, Whole(wan_layout))

    def place():
        return (
            engine.capture(lambda: wan_loss(wan, wan_batch), 8)
            .gradients.untyped_storage()
            ._cdata
        )

    first = place()
    assert place() == first
    with pytest.raises(ZeroDivisionError):
        engine.capture(lambda: 1 / 0, 8)
    assert place() == first


class TiedLayers(nn.Module):
    """Two layers share a weight, and have biases of their own; a third shares none."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.alone = (nn.Linear(12, 12) for _ in range(3))
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.alone(self.second(self.first(x).sin()).sin()).square().sum((1, 2))


def test_a_leaf_holds_weight_and_bias_where_one_layer_alone_has_them(rowed):
    torch.manual_seed(0)
    network, x = TiedLayers().double(), torch.randn(3, 5, 12).double()
    names = [name for name, _ in network.named_parameters()]
    layout = make_layout(network, {"all": names})
    sketch = Sketch(layout, 512)
    engine = GradientCapture(network, layout, Sketched(sketch))
    columns = sketch.columns("alone.weight")
    assert columns == sketch.columns("first.weight") > 0
    assert sketch.follower("first.weight") == "first.bias"
    assert engine._sizes == {
        "first.weight": 12 * columns,
        "first.bias": 12,
        "second.bias": 12,
        "alone.weight": 12 * (columns + 1),
    }
    found = engine.capture(lambda: network(x), 3).gradients
    parameters = list(network.parameters())
    rows = [torch.autograd.grad(network(part).sum(), parameters) for part in x[:, None]]
    truth = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    assert relative(found, sketch.of_flat(truth)) < 1e-10
