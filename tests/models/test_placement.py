"""Weights on the host: what is captured and trained is the same to the bit.

On a CPU host and device are one. To see that no weight is read while its block does
not run, weights on the host are NaN here, and become numbers on the device.
"""

import copy
import shutil

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from wan_gradients import capture, layout_of, relative, wan_loss

from tqd_probe.core.errors import InputError
from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.models import placement
from tqd_probe.models.load import checkpoint_path, load_model
from tqd_probe.models.lora import add_lora
from tqd_probe.models.placement import ALIGNMENT, align, blocks_of, place_network
from tqd_probe.models.quantisation import loading_options
from tqd_probe.models.weights import load_component

CPU = torch.device("cpu")


@pytest.fixture
def checkpointed(wan):
    wan.enable_gradient_checkpointing()
    return wan.train()


@pytest.fixture
def offloaded(monkeypatch):
    """Makes an offloaded copy of a network; its weights cannot be read on the host."""

    def make(network):
        copied = place_network(copy.deepcopy(network), CPU, "offloaded")
        numbers = {}
        for block in blocks_of(copied):
            for parameter in block.parameters():
                numbers[id(parameter)] = parameter.data
                parameter.data = torch.full_like(parameter.data, torch.nan)

        def on_device(home, device):
            return torch.nn.Parameter(numbers[id(home)].clone(), requires_grad=False)

        monkeypatch.setattr(placement, "on_device", on_device)
        return copied

    return make


def test_weights_are_away_while_their_block_does_not_run(checkpointed, offloaded):
    network = offloaded(checkpointed)
    assert len(blocks_of(network)) == 2
    seen = []
    for block in blocks_of(network):
        block.attn1.to_q.register_forward_hook(
            lambda layer, x, y: seen.append(layer.weight.isfinite().all())
        )
    with torch.no_grad():
        network(torch.zeros(1, 4, 1, 2, 2), torch.ones(1), torch.zeros(1, 5, 10))
    assert len(seen) == 2
    assert all(seen)
    for name, parameter in network.named_parameters():
        assert bool(parameter.isnan().all()) == name.startswith("blocks."), name
    whole = dict(placement.gather_offloaded(network).named_parameters())
    for name, parameter in checkpointed.named_parameters():
        assert torch.equal(whole[name], parameter), name


@pytest.mark.parametrize("only", ["all", "ffn|norm|table"])
def test_gradients_of_an_offloaded_network_are_the_same(
    checkpointed, wan_batch, offloaded, only
):
    layout = layout_of(checkpointed, only)
    truth = capture(checkpointed, layout, wan_batch)
    network = offloaded(checkpointed)
    for _ in range(2):  # a norm that is NaN when it is planned has another formula
        assert relative(capture(network, layout, wan_batch), truth) < 1e-6
    engine = GradientCapture(network, layout)
    share = engine.covered_share(lambda: wan_loss(network, wan_batch), 8)
    assert share == pytest.approx(1, abs=1e-6)
    assert network.blocks[0].attn1.to_q.weight.isnan().all()


def test_an_int8_network_offloaded_gives_the_same_bits(tmp_path, wan_batch):
    """Codes are more than one tensor; the parameter itself is exchanged."""
    pytest.importorskip("torchao")
    from small_wan import small_wan

    small_wan().save_pretrained(tmp_path)
    how = loading_options("int8", torch.float32, CPU)
    kind = type(small_wan())
    found = []
    for where in ("whole", "offloaded"):
        loaded = kind.from_pretrained(tmp_path, **how, torch_dtype=torch.float32)
        network = place_network(loaded, CPU, where).train()
        network.enable_gradient_checkpointing()
        found.append(capture(network, layout_of(network), wan_batch))
        engine = GradientCapture(network, layout_of(network))
        share = engine.covered_share(lambda n=network: wan_loss(n, wan_batch), 8)
        assert share == pytest.approx(1, abs=1e-6)
    assert torch.equal(*found)


def test_a_lora_on_offloaded_weights_trains_to_the_same_bits(
    checkpointed, wan_batch, offloaded
):
    trained = []
    for network in (copy.deepcopy(checkpointed), offloaded(checkpointed)):
        names = add_lora(network, 2, 2.0, r"blocks\.\d+\.attn1\.to_[qkv]", seed=1)
        known = dict(network.named_parameters())
        optimiser = torch.optim.SGD([known[name] for name in names], lr=0.1)
        for _ in range(3):
            wan_loss(network, wan_batch).sum().backward()
            optimiser.step()
            optimiser.zero_grad()
        trained.append({name: known[name].detach() for name in names})
    assert len(trained[0]) == 12
    for name, value in trained[0].items():
        assert torch.equal(trained[1][name], value), name
        assert value.abs().max() > 0


def test_the_oracle_takes_a_network_that_is_offloaded(checkpointed, wan_batch):
    layout = layout_of(checkpointed)
    few = [part[:2] for part in wan_batch]
    truth = reference.reference_gradients(checkpointed, layout, wan_loss, few)
    network = place_network(copy.deepcopy(checkpointed), CPU, "offloaded")
    found = reference.reference_gradients(network, layout, wan_loss, few)
    assert torch.equal(found, truth)
    assert placement.offload_of(network.blocks[1]) is not None


def test_a_network_without_blocks_is_refused():
    with pytest.raises(InputError, match="--offload: Linear has no list of blocks"):
        place_network(torch.nn.Linear(2, 2), CPU, "offloaded")


def test_equal_weights_give_equal_outputs_behind_any_header(tmp_path):
    """A header shifts weights in memory; on some CPUs products round by that."""
    own = checkpoint_path("tiny") / "transformer"
    x = torch.randn(2, 62, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    text = torch.randn(2, 8, 64, generator=torch.Generator().manual_seed(1))

    def output(network):
        with torch.no_grad():
            return network(x, torch.tensor([100.0, 900.0]), text).sample

    shutil.copytree(own, tmp_path / "transformer")
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    wanted = output(align(load_component(WanTransformer3DModel, own)))
    odd = 0
    for padding in range(0, 64, 8):
        save_file(load_file(file), file, metadata={"format": "pt", "x": "x" * padding})
        network = load_component(WanTransformer3DModel, file.parent)
        odd += any(p.data_ptr() % ALIGNMENT for p in network.parameters())
        align(network)
        assert {p.data_ptr() % ALIGNMENT for p in network.parameters()} == {0}
        assert torch.equal(output(network), wanted)
    assert odd >= 7  # as they are loaded, they lie at odd places


def test_tied_weights_stay_tied_when_they_are_moved():
    buffer = torch.zeros(33)
    first = torch.nn.Linear(4, 8, bias=False)
    second = torch.nn.Linear(4, 8, bias=False)
    first.weight.data = second.weight.data = buffer[1:].view(8, 4)
    module = align(torch.nn.Sequential(first, second))
    assert first.weight.data_ptr() == second.weight.data_ptr() != buffer[1:].data_ptr()
    assert module[0].weight.data_ptr() % ALIGNMENT == 0


def test_a_loaded_model_is_aligned():
    model = load_model("tiny", "cpu")
    model.encode_caption("x")
    for part in (model.network, model.load_encoders().text_encoder):
        assert {p.data_ptr() % ALIGNMENT for p in part.parameters()} == {0}
