"""What the best linear denoiser of one kind of clips loses on another.

With power spectra S of golden clips and of degraded ones over frames, height, width and
channel, the best linear estimate of the clean latents under flow matching,
``x = (1 - sigma) x0 + sigma eps``, multiplies each frequency by

    H(S) = (1 - sigma) S / ((1 - sigma)^2 S + sigma^2),

and the degraded clips' filter costs golden clips, in squared error of the velocity,

    E(sigma) = mean_k (H(S_d) - H(S_g))^2 ((1 - sigma)^2 S_g + sigma^2) / sigma^2.

No pass of the network is needed. It is blind to what keeps the spectrum.
"""

from __future__ import annotations

import torch
from torch import Tensor


def power_spectrum(latents: Tensor) -> Tensor:
    """Return the mean power of each frequency.

    Args:
        latents: Clean latents ``[N, C, F, H, W]``.

    Returns:
        Power ``[C, F, H, W]`` of an orthonormal transform, about their mean.
    """
    centred = latents.double() - latents.double().mean(0)
    return torch.fft.fftn(centred, dim=(2, 3, 4), norm="ortho").abs().square().mean(0)


def wiener_filter(spectrum: Tensor, sigma: float) -> Tensor:
    """Return the best linear denoiser of each frequency, ``H(S)``.

    Args:
        spectrum: Power ``[...]``.
        sigma: Noise level.

    Returns:
        Factors ``[...]``.
    """
    signal = (1 - sigma) ** 2 * spectrum
    return (1 - sigma) * spectrum / (signal + sigma**2)


def excess(golden: Tensor, degraded: Tensor, sigma: float) -> float:
    """Return what golden clips lose by the degraded clips' linear denoiser.

    Args:
        golden: Clean latents of golden clips ``[N, C, F, H, W]``.
        degraded: Those of degraded clips.
        sigma: Noise level, above 0.

    Returns:
        Mean squared error of the velocity, beyond that of golden clips' own denoiser.
    """
    own = power_spectrum(golden)
    gap = wiener_filter(power_spectrum(degraded), sigma) - wiener_filter(own, sigma)
    noisy = (1 - sigma) ** 2 * own + sigma**2
    return float((gap.square() * noisy).mean()) / sigma**2
