"""Noise levels: sigma, the timestep shift, log-SNR, and flow-matching noise.

`sigma` in [0, 1] is the only noise variable outside the model adapters: the share of
noise in ``x_t = (1 - sigma) x0 + sigma eps`` (flow matching, Lipman et al., 2023),
after any timestep shift. `u` is the same before the shift (Esser et al., 2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Array = np.ndarray


def shift_sigma(u: Array, shift: float) -> Array:
    """Apply a timestep shift: ``sigma = s u / (1 + (s - 1) u)``.

    Args:
        u: Levels before the shift, in [0, 1].
        shift: Shift s, above 0; 1 changes nothing.

    Returns:
        Levels after the shift, same shape.
    """
    u = np.asarray(u, dtype=np.float64)
    return shift * u / (1 + (shift - 1) * u)


def unshift_sigma(sigma: Array, shift: float) -> Array:
    """Undo a timestep shift: ``u = sigma / (s - (s - 1) sigma)``.

    Args:
        sigma: Levels after the shift, in [0, 1].
        shift: Shift s, above 0.

    Returns:
        Levels before the shift, same shape.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    return sigma / (shift - (shift - 1) * sigma)


def timestep_edges(levels: Array) -> Array:
    """Return the edges of the cells of levels that discrete timesteps stand for.

    A level is taken as the timestep with the nearest one.

    Args:
        levels: sigma of every timestep, rising ``[T]``.

    Returns:
        Levels ``[T + 1]``, from the first timestep's to 1; timestep t has the cell from
        entry t to t + 1.
    """
    between = (levels[1:] + levels[:-1]) / 2
    return np.concatenate([levels[:1], between, [1.0]])


def logsnr(sigma: Array) -> Array:
    """Return ``2 log((1 - sigma) / sigma)``, the axis shared by all model families.

    Args:
        sigma: Levels strictly between 0 and 1.

    Returns:
        Natural logarithm of the signal-to-noise power ratio, same shape.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    return 2 * (np.log1p(-sigma) - np.log(sigma))


def sigma_of_logsnr(value: Array) -> Array:
    """Invert `logsnr`.

    Args:
        value: Natural logarithm of the signal-to-noise power ratio.

    Returns:
        Levels in (0, 1), same shape.
    """
    return 1 / (1 + np.exp(np.asarray(value, dtype=np.float64) / 2))


def broadcast_to_batch(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Reshape one value per clip so that it broadcasts against a batch.

    Args:
        values: One value per clip ``[B]``.
        like: A batch ``[B, ...]``.

    Returns:
        ``[B, 1, ...]`` with the dtype and device of `like`.
    """
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))


def flow_corrupt(
    x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """Mix clean latents with noise: ``x_t = (1 - sigma) x0 + sigma eps``.

    A checkpoint's scheduler is not used for this: a newly built UniPC, which Wan ships,
    adds noise with variance-preserving coefficients.

    Args:
        x0: Clean latents ``[B, ...]``.
        eps: Standard normal noise, same shape.
        sigma: Levels ``[B]``.

    Returns:
        Noisy latents, same shape.
    """
    level = broadcast_to_batch(sigma, x0)
    return (1 - level) * x0 + level * eps


def flow_target(x0: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Return the velocity ``eps - x0`` that a flow-matching model learns.

    Args:
        x0: Clean latents ``[B, ...]``.
        eps: Standard normal noise, same shape.

    Returns:
        The training target, same shape.
    """
    return eps - x0
