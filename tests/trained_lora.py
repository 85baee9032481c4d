"""A LoRA as training leaves it, and outputs of a small Wan."""

import torch

RANK, ALPHA = 3, 12.0  # alpha is not the rank


def trained(model, alpha=ALPHA):
    """Give a model a LoRA as training would leave it."""
    names = model.add_lora(RANK, alpha, seed=5)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.network.named_parameters():
        if name in names:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data += 0.2 * noise
    return names


def output(model):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 4, 2, 4, 4, generator=generator)
    text = torch.randn(2, 24, 16, generator=generator)
    with torch.no_grad():
        return model.predict(
            x, torch.tensor([0.3, 0.8]), {"encoder_hidden_states": text}
        )


def output_of(model, pipe):
    return output(model.bound_to(pipe.transformer))
