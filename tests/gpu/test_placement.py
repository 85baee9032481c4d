"""Weights that are not whole on a GPU: on the host, in 8 and in 4 bits."""

import copy

import pytest
import torch
from wan_gradients import relative

from analyses.cost import models
from tqd_probe.core.float32_precision import float32_precision
from tqd_probe.models.placement import blocks_of, place_network
from tqd_probe.models.quantisation import dequantise, has_quantised_weights
from tqd_probe.models.quantisation import loading_options as options_of

pytestmark = pytest.mark.gpu
CLIPS, SIZE = 2, 16_384


@pytest.fixture(autouse=True)
def full_precision():
    with float32_precision(False):
        yield


def task_of(network, device):
    task = models.Task(network, CLIPS, latent=(1, 16, 16))
    for name in ("x", "t", "text", "target"):
        setattr(task, name, getattr(task, name).to(device))
    return task


def captured(task, size):
    """Gradients, and the share that is covered."""
    engine = task.engine(size, pilot=False)
    found = engine.capture(task.losses, CLIPS).gradients
    return found, engine.covered_share(task.losses, CLIPS)


@pytest.mark.parametrize("size", [None, SIZE])
def test_an_offloaded_network_gives_the_same(device, size):
    network = models.wan(128, 2)
    network.enable_gradient_checkpointing()
    away = place_network(copy.deepcopy(network), torch.device(device), "offloaded")
    wanted, _ = captured(task_of(network.to(device), device), size)
    found, share = captured(task_of(away, device), size)
    assert relative(found, wanted.double()) < 1e-6
    assert share == pytest.approx(1, abs=1e-6)
    weights = [p for block in blocks_of(away) for p in block.parameters()]
    assert {p.device.type for p in weights} == {"cpu"}
    assert all(p.is_pinned() == (device == "cuda") for p in weights)


@pytest.mark.parametrize("kind", ["int8", "fp8", "nf4"])
def test_quantised_weights_are_captured_as_what_they_stand_for(device, tmp_path, kind):
    pytest.importorskip("bitsandbytes" if kind == "nf4" else "torchao")
    if kind == "nf4" and device == "cpu":
        pytest.skip("4 bits are of a GPU")
    models.wan(128, 2).save_pretrained(tmp_path)
    place = torch.device(device)
    network = type(models.wan(128, 1)).from_pretrained(
        tmp_path, **options_of(kind, torch.float32, place), torch_dtype=torch.float32
    )
    network = place_network(network, place, "whole")
    assert has_quantised_weights(network)
    found, share = captured(task_of(network, device), SIZE)
    assert share == pytest.approx(1, abs=1e-5)
    plain = dequantise(copy.deepcopy(network)).float().requires_grad_(True)
    wanted, _ = captured(task_of(plain, device), SIZE)
    assert relative(found, wanted.double()) < 1e-4
