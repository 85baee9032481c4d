"""Networks whose linear layers are held in 8 bits: shapes, types, refusals."""

import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models import quantisation
from tqd_probe.models.load import load_model


@pytest.fixture(scope="module")
def quantised(pipeline):
    pytest.importorskip("torchao")
    return load_model(str(pipeline), quantise="int8")


def test_linear_layers_are_quantised_and_others_are_not(quantised, pipeline):
    plain = load_model(str(pipeline)).network
    network = quantised.network
    assert quantisation.has_quantised_weights(network)
    assert not quantisation.has_quantised_weights(plain)
    shapes = {name: tuple(p.shape) for name, p in plain.named_parameters()}
    assert quantisation.parameter_shapes(network) == shapes
    codes = {n for n, p in network.named_parameters() if quantisation.is_quantised(p)}
    assert all(name.endswith(".weight") for name in codes)
    assert "blocks.1.ffn.net.2.weight" in codes
    assert "patch_embedding.weight" not in codes
    share = sum(shapes[name][0] * shapes[name][1] for name in codes)
    assert share > 0.8 * sum(p.numel() for p in plain.parameters())
    layer = network.blocks[0].attn1.to_q
    assert quantisation.computing_type(layer) == torch.float32


def test_codes_stand_for_the_weights_to_half_a_step(quantised, pipeline):
    """One scale per row: an error of at most half of its largest weight / 127."""
    weight = load_model(str(pipeline)).network.blocks[0].attn1.to_q.weight.detach()
    found = quantised.network.blocks[0].attn1.to_q.weight.dequantize()
    step = weight.abs().amax(1, keepdim=True) / 127
    assert 0 < ((found - weight).abs() / step).max() < 0.51


def test_what_is_missing_ends_in_one_line(pipeline, monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(InputError, match="--quantise nf4: needs a CUDA GPU"):
        load_model(str(pipeline), quantise="nf4")

    def installed(found):
        def version(name):
            if found is None:
                raise quantisation.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(quantisation, "version", version)

    installed(None)
    for kind, device, library in (
        ("int8", cpu, "torchao"),
        ("fp8", cpu, "torchao"),
        ("nf4", gpu, "bitsandbytes"),
    ):
        with pytest.raises(
            InputError, match=f"{library} is not installed; pip install"
        ):
            quantisation.check_quantisation(kind, device)
    installed("0.9.0")
    with pytest.raises(InputError, match=r"torchao 0\.9\.0 is older than 0\.16"):
        quantisation.check_quantisation("int8", cpu)
    quantisation.check_quantisation("none", cpu)


def test_packed_codes_have_the_shape_and_type_of_what_they_stand_for():
    """bitsandbytes packs two weights into a byte and keeps a column of bytes."""
    layer = torch.nn.Linear(6, 4)
    layer.weight = torch.nn.Parameter(
        torch.zeros(12, 1, dtype=torch.uint8), requires_grad=False
    )
    layer.compute_dtype = torch.bfloat16
    network = torch.nn.Sequential(layer)
    assert quantisation.parameter_shapes(network) == {
        "0.weight": (4, 6),
        "0.bias": (4,),
    }
    assert quantisation.computing_type(layer) == torch.bfloat16
    assert quantisation.is_quantised(layer.weight)
