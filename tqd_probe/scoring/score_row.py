"""A clip with its scores as read from a file, and the parsing of its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tqd_probe.core.errors import InputError


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one clip on their own scales.

    Attributes:
        video: Name or path as published.
        mq: Motion score, higher is better; None where there is none.
        vq: Visual score, higher is better; None where there is none.
        components: Other measurements by name; plain JSON values.
        place: Its place in the file, for messages.
        caption: Caption, where the file has one.
        source: Origin of the clip, where the file has it.
        repeats: How often training draws it, relative to a clip with 1.
    """

    video: str
    mq: float | None
    vq: float | None
    components: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    caption: str | None = None
    source: str | None = None
    repeats: float = 1.0


def parse_score(value: Any, column: str) -> float | None:
    """Parse a score; None for an empty cell.

    Args:
        value: The cell.
        column: Its column, for the message.

    Returns:
        A finite number.

    Raises:
        InputError: If the cell is a label, a preference, a list, NaN or infinite.
    """
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple)) or str(value).lstrip().startswith("["):
        raise InputError(
            f"{column}: {_shown(value)} is a list; a row is one clip and has one score,"
            " write one row per clip"
        )
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise InputError(
            f"{column}: {_shown(value)} is not a number; scores are numbers"
            " (preferences and labels are not), leave the cell empty where there is"
            " none"
        ) from None
    if not math.isfinite(found):
        raise InputError(
            f"{column}: {_shown(value)} is not a finite number; leave the cell empty"
            " where there is none"
        )
    return found


def parse_name(value: Any, column: str) -> str:
    """Parse the name of a clip.

    Args:
        value: The cell.
        column: Its column, for the message.

    Returns:
        Stripped text.

    Raises:
        InputError: If the cell is empty or a list.
    """
    if isinstance(value, (list, dict)):
        raise InputError(
            f"{column}: {_shown(value)} is not a name; write one row per clip"
        )
    text = "" if value is None else str(value).strip()
    if not text:
        raise InputError(f"{column}: is empty; fill it in or remove the row")
    return text


def to_json_value(value: Any) -> Any:
    """Convert a cell to a JSON value: numeric text to numbers, other text as it is.

    Args:
        value: Any cell.

    Returns:
        A finite number, text, list, dictionary, bool, or None for an empty cell and
        for NaN.
    """
    if value is None or value == "":
        return None
    if isinstance(value, (bool, int, list, dict)):
        return value
    try:
        found = float(value)
    except (TypeError, ValueError):
        return str(value)
    return found if math.isfinite(found) else None


def _shown(value: Any) -> str:
    """Write a cell for a message, cut to 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
