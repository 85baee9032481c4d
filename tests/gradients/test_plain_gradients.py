"""Plain gradients that are handed on one by one, also of quantised weights."""

import copy

import pytest
import torch
from wan_gradients import capture, layout_of, relative, wan_loss

from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.plain_gradients import plain_gradients
from tqd_probe.models.quantisation import dequantise, is_quantised


def handed_on(network, batch, names):
    found = {}
    losses = plain_gradients(
        network, names, lambda: wan_loss(network, batch), found.__setitem__
    )
    assert losses.shape == (len(batch[0]),)
    assert not losses.requires_grad
    return found


@pytest.fixture(scope="module", params=["int8", "fp8"])
def eight_bit(request, tmp_path_factory):
    """The small Wan, quantised by diffusers as it is loaded."""
    pytest.importorskip("torchao")
    from small_wan import small_wan

    from tqd_probe.models.quantisation import loading_options

    folder = tmp_path_factory.mktemp("wan")
    small_wan().save_pretrained(folder)
    how = loading_options(request.param, torch.float32, torch.device("cpu"))
    return type(small_wan()).from_pretrained(folder, **how, torch_dtype=torch.float32)


def test_they_equal_autograd_and_nothing_is_left(wan, wan_batch):
    names = [name for name, _ in wan.named_parameters()]
    wan.blocks[1].requires_grad_(False)
    flags = [p.requires_grad for p in wan.parameters()]
    found = handed_on(wan, wan_batch, names[5:])
    assert set(found) == set(names[5:])
    assert [p.requires_grad for p in wan.parameters()] == flags
    assert all(p.grad is None for p in wan.parameters())
    wan.requires_grad_(True)
    wan_loss(wan, wan_batch).sum().backward()
    for name, parameter in wan.named_parameters():
        if name in found:
            assert torch.equal(found[name], parameter.grad), name


def test_those_of_quantised_weights_are_those_of_what_they_stand_for(
    eight_bit, wan_batch
):
    names = [name for name, _ in eight_bit.named_parameters()]
    assert sum(is_quantised(p) for p in eight_bit.parameters()) == 24
    found = handed_on(eight_bit, wan_batch, names)
    plain = dequantise(copy.deepcopy(eight_bit))
    truth = handed_on(plain, wan_batch, names)
    assert set(found) == set(truth)
    for name, value in truth.items():
        assert (found[name] - value).norm() < 1e-4 * value.norm(), name


def test_a_quantised_network_is_captured_whole(eight_bit, wan_batch):
    """Against the float64 oracle of the dequantised network; nothing is missing."""
    layout = layout_of(eight_bit)
    truth = reference.reference_gradients(eight_bit, layout, wan_loss, wan_batch)
    assert relative(capture(eight_bit, layout, wan_batch), truth) < 1e-5
    engine = GradientCapture(eight_bit, layout)
    share = engine.covered_share(lambda: wan_loss(eight_bit, wan_batch), 8)
    assert share == pytest.approx(1, abs=1e-6)


def test_what_is_not_captured_of_quantised_weights_lowers_the_share(
    eight_bit, wan_batch
):
    """The share falls by that of the weight in the squared norm."""
    layout = layout_of(eight_bit)
    engine = GradientCapture(eight_bit, layout)
    own = [o for o, _ in engine._layers if o.names["weight"] == "proj_out.weight"]
    engine._layers = [pair for pair in engine._layers if pair[0] is not own[0]]
    share = engine.covered_share(lambda: wan_loss(eight_bit, wan_batch), 8)
    found = handed_on(eight_bit, wan_batch, list(layout.parameters))
    squares = {name: value.double().square().sum() for name, value in found.items()}
    lost = squares["proj_out.weight"] + squares["proj_out.bias"]
    assert share == pytest.approx(float(1 - lost / sum(squares.values())), abs=1e-5)
    assert share < 0.99
