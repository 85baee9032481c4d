"""Fit the encoder of `AutoencoderKLCogVideoX` in closed form, as `fit_encoder.py` does.

What this encoder can do linearly: its first convolution sees three frames, every
downsampling averages two frames (twice) and reads 2 x 2 places (three times), the last
convolution mixes channels. So it keeps, of every 8 x 8 pixels and 4 frames, the mean
and what the frame before it and the second one before it would add: the change over the
four frames and the change of the last step. Principal components choose among them.
Residual branches are zero. The output norm and its SiLU are made linear by constants of
both signs, far larger than the signal, in every group of the norm; the signal keeps
clear of the directions that the norm sees. The first frame counts as one that has stood
still.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import (
    CogVideoXResnetBlock3D,
)

from analyses.tiny.fit_encoder import components, padded, rows_of, set_taps

# Of four frames and the two before: mean, change, change of the last step; unit norm.
TAPS = np.array([[0, 0, 2.0], [0, -(8**0.5), 8**0.5], [2.0, -4.0, 2.0]])
OFFSET, SIGNAL, GAIN = 1.0, 0.004, 6.0


def fit_encoder(vae: AutoencoderKLCogVideoX, videos: torch.Tensor) -> None:
    """Write the code into the encoder's weights; latents are centred on these clips.

    Args:
        vae: The autoencoder; only its encoder is changed.
        videos: Clips to fit to, uint8 ``[N, T, H, W, 3]`` with T of form 8 k + 1.
    """
    encoder = vae.encoder
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, CogVideoXResnetBlock3D):
                module.conv2.conv.weight.zero_()
                module.conv2.conv.bias.zero_()
                if module.in_channels != module.out_channels:
                    set_taps(
                        module.conv_shortcut,
                        {(0, 0, 0): np.eye(module.out_channels, module.in_channels)},
                    )
    x = videos.permute(0, 4, 1, 2, 3).numpy() / 127.5 - 1  # [N, 3, T, H, W]
    width = vae.config.block_out_channels
    taps = {
        (t, 1, 1): padded(np.kron(TAPS[:, t : t + 1], np.eye(3)), width[0], 3)
        for t in range(3)
    }
    set_taps(encoder.conv_in.conv, taps)
    before = np.concatenate([x[:, :, :1], x[:, :, :1], x], axis=2)
    frames = x.shape[2]
    x = np.concatenate(
        [
            sum(a * before[:, :, t : t + frames] for t, a in enumerate(row) if a)
            for row in TAPS
        ],
        axis=1,
    )
    groups, last = vae.config.norm_num_groups, width[-1]
    frame = _frame(last, groups)
    stages = [block.downsamplers[0] for block in encoder.down_blocks[:-1]]
    for number, stage in enumerate(stages):
        if stage.compress_time:
            x = np.concatenate(
                [x[:, :, :1], (x[:, :, 1::2] + x[:, :, 2::2]) / 2], axis=2
            )
        channels = x.shape[1]
        # Places in the order of the taps: above, above right, left below, and so on.
        places = [(0, 0), (0, 1), (1, 0), (1, 1)]
        blocks = np.concatenate([x[..., i::2, j::2] for i, j in places], axis=1)
        final = number == len(stages) - 1
        kept = frame.shape[1] if final else min(width[number], 4 * channels)
        basis = components(rows_of(blocks)[:: 3 if final else 7], kept)
        x = np.einsum("kc,ncthw->nkthw", basis, blocks)
        out = frame * SIGNAL if final else np.eye(width[number], kept)
        parts = basis.reshape(kept, 4, channels)
        set_taps(
            stage.conv,
            {
                place: out @ padded(parts[:, i], kept, width[number])
                for i, place in enumerate(places)
            },
        )
    basis = components(rows_of(x[:, :, 1:]), vae.config.latent_channels)
    mean = rows_of(x).mean(0)
    _linear_output(encoder, basis, frame, mean, groups)


def _linear_output(
    encoder: torch.nn.Module,
    basis: np.ndarray,
    frame: np.ndarray,
    mean: np.ndarray,
    groups: int,
) -> None:
    """Set output norm, SiLU and last convolution to the linear map ``basis``."""
    z, width = len(basis), len(frame)
    signs = torch.from_numpy(_signs(width))
    silu = torch.nn.functional.silu
    gain = torch.tensor(GAIN, dtype=torch.float64)
    slope = float(torch.func.grad(silu)(gain))
    scale = OFFSET / (SIGNAL * slope)  # the norm divides by the constants' size
    matrix = scale * basis @ frame.T
    with torch.no_grad():
        encoder.mid_block.resnets[-1].conv2.conv.bias.copy_(OFFSET * signs)
        encoder.norm_out.weight.fill_(1.0)
        encoder.norm_out.bias.copy_(GAIN - signs)
        set_taps(
            encoder.conv_out.conv,
            {(2, 1, 1): np.concatenate([matrix, np.zeros_like(matrix)])},
        )
        constant = matrix.sum(1) * float(silu(gain)) + basis @ mean
        encoder.conv_out.conv.bias[:z] = -torch.from_numpy(constant)
        encoder.conv_out.conv.bias[z:] = -8.0  # hardly any posterior noise


def _signs(width: int) -> np.ndarray:
    """Return the signs of the constants: half of them in every group are negative."""
    return np.where(np.arange(width) % 2, -1.0, 1.0)


def _frame(width: int, groups: int) -> np.ndarray:
    """Return orthonormal columns free of every group's mean and of its constants."""
    member = np.kron(np.eye(groups), np.ones((width // groups, 1)))
    seen = np.concatenate([member, member * _signs(width)[:, None]], axis=1)
    return np.linalg.svd(seen, full_matrices=True)[0][:, 2 * groups :]
