"""Fit the encoder of the `tiny` autoencoder in closed form: a principal-component code.

`AutoencoderKLWan` downsamples by strided convolutions, so a linear block code fits
into its weights exactly: 4 x 4 patches, then twice 2 x 2 places (principal
components) and 2 frames (mean and difference), then the leading components. Residual
branches are zero. The one nonlinearity, the output norm and its SiLU, is made linear
by a constant far larger than the signal. The first frame, which Wan encodes alone,
counts as one that stands still.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanAttentionBlock,
    WanResample,
    WanResidualBlock,
    patchify,
)

SPATIAL = (56, 58)  # components kept per place; the rest of the width: differences
OFFSET, SIGNAL, GAIN = 1.0, 0.004, 6.0


def components(rows: np.ndarray, count: int) -> np.ndarray:
    """Return the leading principal directions ``[count, width]``, not centred.

    Every row counts about alike: rows are weighted by the inverse of their energy
    outside the three leading directions (flat colour), so that faint texture is kept
    beside loud edges.
    """
    _, directions = np.linalg.eigh(rows.T @ rows)
    detail = rows - rows @ directions[:, -3:] @ directions[:, -3:].T
    energy = (detail**2).sum(1, keepdims=True)
    _, directions = np.linalg.eigh(rows.T @ (rows / (energy + np.median(energy))))
    return directions[:, ::-1][:, :count].T


def fit_encoder(vae: AutoencoderKLWan, videos: torch.Tensor) -> None:
    """Write the code into the encoder's weights.

    Args:
        vae: The autoencoder; only its encoder is changed.
        videos: Clips to fit to, uint8 ``[N, T, H, W, 3]`` with T of form 4 k + 1.
    """
    encoder, width = vae.encoder, vae.config.base_dim
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, WanResidualBlock):
                module.conv2.weight.zero_()
                module.conv2.bias.zero_()
            if isinstance(module, WanAttentionBlock):
                module.proj.weight.zero_()
                module.proj.bias.zero_()
    pixels = videos.permute(0, 4, 1, 2, 3).double() / 127.5 - 1
    x = patchify(pixels, vae.config.patch_size).numpy()  # [N, 48, T, 16, 16]
    basis = components(rows_of(x)[::7], 48)
    x = np.einsum("kc,ncthw->nkthw", basis, x)
    set_taps(encoder.conv_in, {(2, 1, 1): padded(basis, width, basis.shape[1])})
    # An orthonormal frame without the constant direction, which the norm removes.
    frame = np.linalg.svd(np.eye(width) - 1 / width)[0][:, : width - 1]
    stages = [m for m in encoder.down_blocks if isinstance(m, WanResample)]
    for number, (stage, kept) in enumerate(zip(stages, SPATIAL)):
        last = number == len(stages) - 1
        out = frame * SIGNAL if last else np.eye(width)[:, : width - 1]
        channels = x.shape[1]
        blocks = np.stack(
            [
                x[..., 0::2, 0::2],
                x[..., 0::2, 1::2],
                x[..., 1::2, 0::2],
                x[..., 1::2, 1::2],
            ],
            axis=1,
        )
        blocks = blocks.reshape(len(x), 4 * channels, *blocks.shape[3:])
        basis = components(rows_of(blocks)[::3], kept)
        x = np.einsum("kc,ncthw->nkthw", basis, blocks)
        taps = basis.reshape(kept, 4, channels)
        places = [(0, 0), (0, 1), (1, 0), (1, 1)]
        kernel = {
            place: out[:, :kept] @ padded(taps[:, i], kept, width)
            for i, place in enumerate(places)
        }
        set_taps(stage.resample[1], kernel)
        moved = width - 1 - kept
        first, second = x[:, :, 1::2], x[:, :, 2::2]
        later = np.concatenate(
            [(first + second) / 2, (second[:, :moved] - first[:, :moved]) / 2], axis=1
        )
        alone = np.pad(x[:, :, :1], [(0, 0), (0, moved), (0, 0), (0, 0), (0, 0)])
        mean, difference = np.zeros((width - 1, width - 1)), np.zeros((width - 1,) * 2)
        mean[:kept, :kept] = np.eye(kept) / 2
        difference[kept:, :moved] = np.eye(moved) / 2
        back = np.linalg.pinv(out)
        set_taps(
            stage.time_conv,
            {
                (1, 0, 0): out @ (mean - difference) @ back,
                (2, 0, 0): out @ (mean + difference) @ back,
            },
        )
        x = np.concatenate([alone, later], axis=2)
    basis = components(rows_of(x[:, :, 1:]), vae.config.z_dim)
    slope = float(torch.func.grad(torch.nn.functional.silu)(torch.tensor(GAIN)))
    scale = OFFSET / (GAIN * SIGNAL * slope)
    with torch.no_grad():
        encoder.mid_block.resnets[-1].conv2.bias.fill_(OFFSET)
        encoder.norm_out.gamma.fill_(GAIN)
        set_taps(
            encoder.conv_out,
            {(2, 1, 1): padded(scale * basis @ frame.T, 2 * vae.config.z_dim, width)},
        )
        encoder.conv_out.bias[vae.config.z_dim :] = -8.0  # hardly any posterior noise
        vae.quant_conv.weight.copy_(
            torch.eye(2 * vae.config.z_dim)[..., None, None, None]
        )
        vae.quant_conv.bias.zero_()


def rows_of(x: np.ndarray) -> np.ndarray:
    """Put the channels ``[N, C, T, H, W]`` last and everything else in front."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def padded(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Fill a matrix up with zeros."""
    out = np.zeros((rows, columns))
    out[: matrix.shape[0], : matrix.shape[1]] = matrix
    return out


def set_taps(layer: torch.nn.Module, taps: dict[tuple[int, ...], np.ndarray]) -> None:
    """Set a convolution to given taps and no bias."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        for place, matrix in taps.items():
            layer.weight[(slice(None), slice(None), *place)] = torch.from_numpy(
                matrix
            ).to(layer.weight)
