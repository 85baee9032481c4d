"""Blocks that `torch.compile` compiled give the gradients of the network as written."""

import pytest
import torch
from small_wan import small_batch, small_wan
from torch import nn

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients import compiled
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.layout import make_layout
from tqd_probe.gradients.sketch import Sketch


@pytest.fixture
def fresh():
    """No graphs of other tests."""
    torch.compiler.reset()


@pytest.fixture
def quick(fresh, monkeypatch):
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


class Traced:
    """A network with an engine that traced it, and what both were before."""

    def __init__(self):
        self.network, self.batch = small_wan(), small_batch()
        names = [name for name, _ in self.network.named_parameters()]
        layout = make_layout(self.network, {"all": names})
        self.plain = run(GradientCapture(self.network, layout), *self.network_and_batch)
        self.before = self.state()
        self.engine = GradientCapture(self.network, layout, compiled=True)
        self.found = run(self.engine, *self.network_and_batch)

    @property
    def network_and_batch(self):
        return self.network, self.batch

    def state(self):
        return [
            (module.__dict__.get("forward"), dict(module._parameters))
            for module in self.network.modules()
        ]


@pytest.fixture(scope="module")
def traced():
    """Traced once for the tests that need no more; they leave it as it is."""
    torch.compiler.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "BACKEND", "eager")
        yield Traced()


def test_another_number_of_clips_gives_the_same(traced):
    assert relative(traced.found, traced.plain) < 1e-5
    fewer = [part[:5] for part in traced.batch]
    found = run(traced.engine, traced.network, fewer)
    assert relative(found, traced.plain[:5]) < 1e-5


def test_whole_blocks_are_compiled_where_tables_can_be_spread(traced):
    units = [module for module, _ in traced.engine._compiled._forwards]
    assert len(traced.network.blocks) == 2
    assert all(block in units for block in traced.network.blocks)


def test_the_network_is_left_as_it_was(traced):
    assert traced.state() == traced.before
    with pytest.raises(ZeroDivisionError):
        traced.engine.capture(lambda: 1 / 0, 8)
    assert traced.state() == traced.before


def test_generated_code_gives_the_same_in_every_pass(
    wan, wan_batch, wan_layout, fresh, monkeypatch
):
    # in this process: others would each load torch to compile a handful of kernels
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    plain = run(GradientCapture(wan, wan_layout), wan, wan_batch)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    for _ in range(2):
        assert relative(run(engine, wan, wan_batch), plain) < 1e-5


@pytest.mark.parametrize("checkpointing", [False, True])
def test_sketches_and_checkpoints(wan, wan_batch, wan_layout, quick, checkpointing):
    def kept():
        return Sketched(Sketch(wan_layout, 512))

    if checkpointing:
        wan.enable_gradient_checkpointing()
        wan.train()
    plain = run(GradientCapture(wan, wan_layout, kept()), wan, wan_batch)
    engine = GradientCapture(wan, wan_layout, kept(), compiled=True)
    assert relative(run(engine, wan, wan_batch), plain) < 1e-5
    assert relative(run(engine, wan, wan_batch), plain) < 1e-5


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


def test_other_gradients_are_refused(wan, wan_batch, wan_layout, fresh, monkeypatch):
    def wrong(forward, backend):
        return lambda *given, **named: 1.01 * forward(*given, **named)

    monkeypatch.setattr(torch, "compile", wrong)
    engine = GradientCapture(wan, wan_layout, compiled=True)
    with pytest.raises(GradientError, match=r"differ by 0\.\d+ of their norm"):
        run(engine, wan, wan_batch)


def test_what_fails_to_compile_is_one_line(
    wan, wan_batch, wan_layout, fresh, monkeypatch
):
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


class Block(nn.Module):
    """Two layers wide enough for projections, and a norm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(256)
        self.into, self.out = nn.Linear(256, 256), nn.Linear(256, 256)

    def forward(self, x):
        return x + self.out(torch.tanh(self.into(self.norm(x))))


class Stack(nn.Module):
    """As many blocks as a large network has."""

    def __init__(self, blocks):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(blocks))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


@pytest.mark.parametrize("unequal", [False, True])
def test_blocks_share_their_graphs(fresh, monkeypatch, unequal):
    """Also where layers have different numbers of columns."""
    graphs = []

    def counts(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(compiled, "BACKEND", counts)
    torch.manual_seed(0)
    network, x = Stack(12), torch.randn(2, 6, 256)
    names = [name for name, _ in network.named_parameters()]
    layout = make_layout(network, {"all": names})
    energy = None
    if unequal:  # shares that ask for 16 and 32 columns, by turns
        energy = {name: (0.001, 0.01)[i % 5 == 0] for i, name in enumerate(names)}
        energy["blocks.0.norm.weight"] = 0.8
    sketch = Sketch(layout, 4096, energy)
    widths = {sketch.columns(name) for name in names if name.endswith("weight")}
    assert widths - {0} == ({16, 32} if unequal else {16})

    def losses():
        return network(x).square().flatten(1).mean(1)

    plain = GradientCapture(network, layout, Sketched(sketch)).per_clip(losses, 2)[0]
    engine = GradientCapture(network, layout, Sketched(sketch), compiled=True)
    for _ in range(2):
        assert relative(engine.per_clip(losses, 2)[0], plain) < 1e-5
    # The first block's input needs no gradient; sizes that vary get one more graph.
    assert 2 <= len(graphs) <= 5
