"""Options that are small lists: levels, ranges, pools."""

from __future__ import annotations

import numpy as np

from tqd_probe.core.clip_classes import CLASSES
from tqd_probe.core.noise import shift_sigma


def read_levels(text: str, shift: float) -> np.ndarray:
    """Read the noise levels.

    Args:
        text: A count, or rising values of sigma separated by commas.
        shift: Shift applied to counted levels.

    Returns:
        Levels, rising ``[L]``.

    Raises:
        ValueError: If a value is not a number in (0, 1) or the values do not rise.
    """
    cure = "give a count such as 10, or rising values in (0, 1) such as 0.1,0.5,0.9"
    if text.strip().isascii() and text.strip().isdigit() and len(text) < 9:
        count = int(text)
        if not 1 <= count <= 1000:
            raise ValueError(f"{count} levels; {cure}")
        return shift_sigma((np.arange(count) + 0.5) / count, shift)
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ValueError(f"{text!r} is not a list of numbers; {cure}") from None
    if not ((values >= 1e-6) & (values <= 1 - 1e-6)).all():
        raise ValueError(f"{text!r} has a level outside (0, 1); {cure}")
    if (np.diff(values) <= 0).any():
        raise ValueError(f"{text!r} does not rise; {cure}")
    return values


def read_range(text: str) -> tuple[float, float]:
    """Read the range of norm ratios.

    Args:
        text: ``low,high``, both positive.

    Returns:
        Low and high.

    Raises:
        ValueError: If it is not two rising positive numbers.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r}: write low,high such as 0.5,2") from None
    if not 1e-6 <= low < high <= 1e6:
        raise ValueError(f"{text!r}: needs 1e-6 <= low < high <= 1e6, such as 0.5,2")
    return low, high


def read_pool(text: str) -> dict[str, int]:
    """Read pool sizes.

    Args:
        text: ``class=clips[,...]``, such as ``golden=1000,visual_degraded=8000``.

    Returns:
        Clips by class.

    Raises:
        ValueError: If a class is unknown or repeated, or a number is not one.
    """
    cure = "write class=clips such as golden=1000,visual_degraded=8000"
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if name not in CLASSES:
            raise ValueError(f"{name!r} is no class ({', '.join(CLASSES)}); {cure}")
        if name in found:
            raise ValueError(f"{name} stands twice; {cure}")
        if not (equals and number.isascii() and number.isdigit() and len(number) < 16):
            raise ValueError(f"{part.strip()!r}: no whole number of clips; {cure}")
        found[name] = int(number)
    if not found.get("golden"):
        raise ValueError(f"golden has no clips; {cure}")
    return found
