"""Blocks that `torch.compile` compiled give the gradients of the network as written."""

import pytest
import torch
from torch import nn

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients import compiled
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.layout import make_layout
from tqd_probe.gradients.sinks import Sketched
from tqd_probe.gradients.sketch import Sketch


@pytest.fixture(autouse=True)
def fresh():
    """No graphs of other tests."""
    torch.compiler.reset()


@pytest.fixture
def quick(monkeypatch):
    """Graphs are traced and run as they are: no code is generated."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")


def run(engine, network, batch):
    x, sigma, text, target = (part.to(next(network.parameters())) for part in batch)

    def losses():
        out = network(x, 1000 * sigma, text).sample
        return (out - target).square().flatten(1).mean(1)

    return engine.capture(losses, len(x)).gradients


def relative(found, truth):
    return float(((found - truth).norm(dim=1) / truth.norm(dim=1)).max())


def test_generated_code_gives_the_same_in_every_pass(wan, wan_batch, wan_layout):
    plain = run(GradientCapture(wan, wan_layout), wan, wan_batch)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    for _ in range(2):
        assert relative(run(engine, wan, wan_batch), plain) < 1e-5


def test_another_number_of_clips_gives_the_same(wan, wan_batch, wan_layout, quick):
    plain = run(GradientCapture(wan, wan_layout), wan, wan_batch)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    for count in (8, 5):
        found = run(engine, wan, [part[:count] for part in wan_batch])
        assert relative(found, plain[:count]) < 1e-5


@pytest.mark.parametrize("checkpointing", [False, True])
def test_sketches_and_checkpoints(wan, wan_batch, wan_layout, quick, checkpointing):
    def sink():
        return Sketched(Sketch(wan_layout, 512))

    if checkpointing:
        wan.enable_gradient_checkpointing()
        wan.train()
    plain = run(GradientCapture(wan, wan_layout, sink()), wan, wan_batch)
    engine = GradientCapture(wan, wan_layout, sink(), compiled=True)
    assert relative(run(engine, wan, wan_batch), plain) < 1e-5
    assert relative(run(engine, wan, wan_batch), plain) < 1e-5


def test_whole_blocks_are_compiled_where_tables_can_be_spread(
    wan, wan_batch, wan_layout, quick
):
    engine = GradientCapture(wan, wan_layout, compiled=True)
    run(engine, wan, wan_batch)
    units = [module for module, _ in engine._compiled._forwards]
    assert all(block in units for block in wan.blocks)


def test_parts_are_compiled_where_a_table_meets_tokens(
    wan, wan_batch, wan_layout, quick
):
    x, sigma, text, target = wan_batch
    tokens = sigma[:, None] * torch.linspace(0.5, 1, 18, dtype=torch.float64)
    batch = (x, tokens, text, target)
    plain = run(GradientCapture(wan, wan_layout), wan, batch)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    assert relative(run(engine, wan, batch), plain) < 1e-5
    units = [module for module, _ in engine._compiled._forwards]
    assert not any(block in units for block in wan.blocks)
    assert wan.blocks[0].attn1 in units


def test_the_network_is_left_as_it_was(wan, wan_batch, wan_layout, quick):
    def state():
        return [
            (module.__dict__.get("forward"), dict(module._parameters))
            for module in wan.modules()
        ]

    before = state()
    engine = GradientCapture(wan, wan_layout, compiled=True)
    run(engine, wan, wan_batch)
    assert state() == before
    with pytest.raises(ZeroDivisionError):
        engine.capture(lambda: 1 / 0, 8)
    assert state() == before


def test_other_gradients_are_refused(wan, wan_batch, wan_layout, monkeypatch):
    def wrong(forward, backend):
        return lambda *given, **named: 1.01 * forward(*given, **named)

    monkeypatch.setattr(torch, "compile", wrong)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    with pytest.raises(GradientError, match=r"differ by 0\.\d+ of their norm"):
        run(engine, wan, wan_batch)


def test_layers_that_are_not_met_are_noticed(wan, wan_batch, wan_layout, quick):
    engine = GradientCapture(wan, wan_layout, compiled=True)
    run(engine, wan, wan_batch)
    engine._layers = engine._layers[1:]
    with pytest.raises(GradientError, match=r"\d+ of \d+ layers were captured"):
        run(engine, wan, wan_batch)


def test_what_fails_to_compile_is_one_line(wan, wan_batch, wan_layout, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no compiler\nof any kind")

    monkeypatch.setattr(compiled, "BACKEND", broken)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    with pytest.raises(GradientError) as caught:
        run(engine, wan, wan_batch)
    assert "torch cannot compile the blocks" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_compiled_is_refused(wan, wan_layout):
    network = nn.Sequential(nn.Linear(3, 3))
    layout = make_layout(network, {"all": ["0.weight", "0.bias"]})
    with pytest.raises(GradientError, match="Sequential has no list of blocks"):
        GradientCapture(network, layout, compiled=True)
    wan.blocks[1].compile(backend="eager")
    with pytest.raises(GradientError, match=r"blocks\.1 is compiled already"):
        GradientCapture(wan, wan_layout, compiled=True)
