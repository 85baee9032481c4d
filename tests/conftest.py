import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel

from tqd_probe.gradients.layout import make_layout

torch.set_num_threads(2)


@pytest.fixture
def wan():
    """A Wan transformer with random weights and every kind of parameter."""
    torch.manual_seed(3)
    network = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=10,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=16,
    ).eval()
    with torch.no_grad():  # zero and one initialisations would hide faults
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture
def wan_batch():
    """Eight clips: noisy latents, levels, text, targets."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape):
        return torch.randn(8, *shape, generator=generator, dtype=torch.float64)

    sigma = torch.tensor(np.linspace(0.1, 0.9, 8))
    return draw(4, 3, 4, 6), sigma, draw(5, 10), draw(4, 3, 4, 6)


@pytest.fixture
def wan_layout(wan):
    return make_layout(wan, {"all": [name for name, _ in wan.named_parameters()]})
