"""The capture engine on a GPU: against plain autograd, compiled, and in memory."""

from math import prod

import pytest
import torch

from analyses.cost import models
from tqd_probe.core.float32_precision import float32_precision
from tqd_probe.core.memory import PeakMemory
from tqd_probe.gradients import compiled
from tqd_probe.gradients.capture import GradientCapture

pytestmark = pytest.mark.gpu

CLIPS = 3
SIZE = 16_384  # numbers of a sketch
# Largest difference of a clip's gradient, relative to its norm.
ALIKE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def full_precision():
    with float32_precision(False):
        yield


def task_on(device, dtype=torch.float32, layers=2, latent=(1, 16, 16), width=128):
    """A Wan network and clips; in bf16 a table stays float32, as after loading."""
    network = models.wan(width, layers)
    if dtype != torch.float32:
        network.to(dtype)
        network.scale_shift_table.data = network.scale_shift_table.data.float()
    task = models.Task(network.to(device), CLIPS, latent=latent)
    for name in ("x", "text", "target"):
        setattr(task, name, getattr(task, name).to(device, dtype))
    task.t = task.t.to(device)
    return task


def clip_by_clip(task):
    """Gradients of plain autograd, a backward pass for every clip ``[B, n]``."""
    parameters = list(task.network.parameters())
    losses = task.losses()
    rows = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
    return torch.stack([torch.cat([g.flatten().float() for g in row]) for row in rows])


def relative(found, wanted):
    return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max())


@pytest.mark.parametrize("dtype", ALIKE)
def test_whole_gradients_are_those_of_plain_autograd(device, dtype):
    task = task_on(device, dtype)
    wanted = clip_by_clip(task)
    engine = task.engine(None)
    found = engine.capture(task.losses, CLIPS).gradients
    shapes = engine.layout.shapes
    names = [name for name, _ in task.network.named_parameters()]
    parts = dict(zip(names, wanted.split([prod(shapes[n]) for n in names], dim=1)))
    ordered = torch.cat([parts[name] for name in engine.layout.parameters], dim=1)
    assert found.device.type == torch.device(device).type
    assert relative(found, ordered) < ALIKE[dtype]


@pytest.mark.parametrize("dtype", ALIKE)
def test_a_sketch_is_that_of_plain_autograd_s_gradient(device, dtype):
    task = task_on(device, dtype)
    share = task.engine(SIZE).covered_share(task.losses, CLIPS)
    assert 1 - share < ALIKE[dtype] ** 2


@pytest.mark.parametrize("size", [None, SIZE])
def test_a_gpu_gives_the_numbers_of_a_cpu(device, size):
    found, wanted = (
        task.engine(size, pilot=False).capture(task.losses, CLIPS).gradients.cpu()
        for task in (task_on(device), task_on("cpu"))
    )
    assert relative(found, wanted) < 1e-4


def test_exact_norms_are_those_of_plain_autograd(device):
    task = task_on(device)
    wanted = clip_by_clip(task).square().sum(1)
    engine = task.engine(SIZE, exact_norms=True)
    found = engine.capture(task.losses, CLIPS).norms.sum(1)
    torch.testing.assert_close(found.float(), wanted, rtol=1e-4, atol=0)


@pytest.mark.long
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_blocks_give_the_same_in_bf16(device, monkeypatch, checkpointing):
    """The first pass compares both forms itself, and refuses others.

    A GPU computes checkpoints anew in a thread of autograd's.
    """
    torch.compiler.reset()
    if device == "cpu":  # traced alone: its compiler is slow
        monkeypatch.setattr(compiled, "BACKEND", "eager")
    task = task_on(device, torch.bfloat16)
    if checkpointing:
        task.network.enable_gradient_checkpointing()
    plain = task.engine(SIZE, pilot=False).capture(task.losses, CLIPS).gradients
    engine = task.engine(SIZE, pilot=False, compiled=True)
    for _ in range(2):
        found = engine.capture(task.losses, CLIPS).gradients
        assert relative(found, plain) < 5 * ALIKE[torch.bfloat16]


@pytest.mark.parametrize("layers", [4, 8])
def test_checkpointing_saves_in_a_capture_what_it_saves_in_training(device, layers):
    """Peak above the weights; 9,216 tokens where they are quick."""
    cuda = device == "cuda"
    size = {"latent": (9, 64, 64), "width": 384} if cuda else {"latent": (1, 64, 64)}
    task = task_on(device, layers=layers, **size)
    task.network.enable_gradient_checkpointing()
    engine = task.engine(SIZE, pilot=False)
    sketched, plain = (
        peak(device, task, action) for action in (task.capturing(engine), task.plain)
    )
    assert 0 < sketched <= 1.05 * plain


def peak(device, task, action):
    """Bytes at the peak of a pass, after one that leaves buffers behind."""
    for _ in range(2):
        for parameter in task.network.parameters():
            parameter.grad = None
        with PeakMemory(device) as memory:
            action()
    return memory.used


def test_the_engine_waits_for_nothing_inside_a_pass(device):
    """No value travels to the host: the next launch never waits for a result."""
    task = task_on(device)
    engine = GradientCapture(
        task.network, models.layout_of(task.network), task.engine(SIZE).kept
    )
    engine.capture(task.losses, CLIPS)
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        engine.capture(task.losses, CLIPS)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
