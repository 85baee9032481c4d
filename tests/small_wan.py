"""A Wan transformer with random weights and every kind of parameter, and its inputs."""

import torch
from diffusers import WanTransformer3DModel


def small_wan():
    """Two blocks; no parameter is left at zero or one: that would hide faults."""
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
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def small_batch():
    """Eight clips: noisy latents, levels, text, targets."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape):
        return torch.randn(8, *shape, generator=generator, dtype=torch.float64)

    sigma = torch.linspace(0.1, 0.9, 8, dtype=torch.float64)
    return draw(4, 3, 4, 6), sigma, draw(5, 10), draw(4, 3, 4, 6)
