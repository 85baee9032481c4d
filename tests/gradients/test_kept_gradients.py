import pytest
import torch
from wan_gradients import relative, wan_loss

from tqd_probe.gradients import reference
from tqd_probe.gradients import sketch as sketching
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.kept_gradients import Sketched
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


@pytest.mark.parametrize("exact_norms", [False, True])
def test_sketches_in_the_metric_equal_those_of_scaled_gradients(
    wan, wan_batch, wan_layout, rowed, exact_norms
):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    generator = torch.Generator().manual_seed(1)
    scale = 0.5 + torch.rand(wan_layout.size, generator=generator, dtype=torch.float64)
    sketch = Sketch(wan_layout, 512)
    kept = Sketched(sketch, exact_norms, scale=scale)
    with reference.double_precision():
        found = GradientCapture(wan.double(), wan_layout, kept).capture(
            lambda: wan_loss(wan, wan_batch), 8
        )
    wanted = truth * scale
    assert relative(found.gradients, sketch.of_flat(wanted)) < 1e-10
    norms = [wanted[:, a:b].square().sum(1) for a, b in wan_layout.groups.values()]
    assert relative(found.norms, torch.stack(norms, 1)) < 1e-10
