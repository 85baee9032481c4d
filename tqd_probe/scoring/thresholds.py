"""Thresholds from which on a score is good: a number or a quantile of the column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.core.errors import InputError


@dataclass(frozen=True)
class Threshold:
    """From where on a score is good.

    Attributes:
        value: A normalised score, or a quantile of the column.
        quantile: Whether the value is a quantile.
    """

    value: float
    quantile: bool

    def resolve(self, normalised: np.ndarray) -> float:
        """Return the threshold as a normalised score.

        Args:
            normalised: The column's normalised scores ``[n]``.

        Returns:
            A number in [0, 1].
        """
        if self.quantile:
            return float(np.quantile(normalised, self.value))
        return self.value


def parse_threshold(text: str) -> Threshold:
    """Read a threshold.

    Args:
        text: ``0.5``, a normalised score, or ``q0.7``, a quantile of the column.

    Returns:
        The threshold.

    Raises:
        InputError: If it is neither, or outside [0, 1].
    """
    quantile = text.strip().lower().startswith("q")
    try:
        value = float(text.strip()[1:] if quantile else text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(
            f"threshold {text!r}: write a normalised score such as 0.5, or a quantile"
            " of the column such as q0.7"
        )
    return Threshold(value, quantile)
