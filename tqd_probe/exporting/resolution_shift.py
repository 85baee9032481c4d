"""Timestep shifts that grow with the number of latent tokens, as FLUX introduced them.

``mu`` is linear in the tokens and not clamped; the shift is ``exp(mu)``.
"""

from __future__ import annotations

import math

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.trainer_format import VideoShape


def linear_mu(
    tokens: float, low: tuple[float, float], high: tuple[float, float]
) -> float:
    """Return mu on the line through two points, also beyond them.

    Args:
        tokens: Number of tokens.
        low: Tokens and mu of one point.
        high: Tokens and mu of the other.

    Returns:
        mu.
    """
    slope = (high[1] - low[1]) / (high[0] - low[0])
    return slope * (tokens - low[0]) + low[1]


def image_tokens(shape: VideoShape | None, what: str, patch: int = 2) -> int:
    """Return the tokens of one latent frame at a compression of 8.

    Args:
        shape: Size of the clips.
        what: File and option, for the message.
        patch: Latent pixels per token, each way.

    Returns:
        Their number.

    Raises:
        InputError: If the size is not known.
    """
    if shape is None:
        raise InputError(
            f"{what}: the shift depends on the size of the clips; say it with --frames,"
            " --height and --width"
        )
    return (shape.height // 8 // patch) * (shape.width // 8 // patch)


def shift_of(mu: float) -> float:
    """Return the timestep shift of mu."""
    return math.exp(mu)
