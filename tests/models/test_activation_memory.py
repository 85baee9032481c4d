import logging

import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models import activation_memory as memory
from tqd_probe.models.base import per_clip_loss


def saved_bytes(network, run):
    """Bytes that autograd keeps for the backward pass, weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = run()
    assert loss.requires_grad
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("name", ["wan", "cogvideox", "ltx", "hunyuan_video"])
def test_the_calculation_is_within_a_factor_of_what_autograd_keeps(encoded, name):
    model, batch = encoded(name)
    one = type(batch)(
        batch.latents[:1], {k: v[:1] for k, v in batch.conditioning.items()}
    )
    tokens = memory.count_tokens(model, one.latents[0])
    text = one.conditioning["encoder_hidden_states"].shape[1]
    guess = memory.activation_bytes(model.network, tokens, text)
    eps, sigma = torch.randn_like(one.latents), torch.tensor([0.5])
    found = saved_bytes(
        model.network, lambda: per_clip_loss(model, one, eps, sigma).sum()
    )
    assert 0.3 < guess / found < 3
    assert memory.activation_bytes(model.network, tokens, text, True) < guess


def test_tokens_are_latent_places_over_patches(encoded):
    for name, tokens in {"wan": 8, "cogvideox": 12, "ltx": 48, "wan_tokens": 8}.items():
        model, batch = encoded(name)
        assert memory.count_tokens(model, batch.latents[0]) == tokens


def test_checkpointing_follows_the_option_and_the_memory(encoded, monkeypatch, caplog):
    model, batch = encoded("wan")
    network = model.network
    assert not memory.set_checkpointing(model, "auto", batch, 2)
    assert memory.set_checkpointing(model, "on", batch, 2)
    assert network.gradient_checkpointing
    assert not memory.set_checkpointing(model, "off", batch, 2)
    assert not network.gradient_checkpointing
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10_000)
    with caplog.at_level(logging.INFO, logger="tqd_probe"):
        assert memory.set_checkpointing(model, "auto", batch, 2)
    assert "gradient checkpointing on" in caplog.text
    monkeypatch.setattr(type(network), "_supports_gradient_checkpointing", False)
    with pytest.raises(InputError, match="--checkpointing on"):
        memory.set_checkpointing(model, "on", batch, 2)
    monkeypatch.undo()
    memory.set_checkpointing(model, "off", batch, 2)
