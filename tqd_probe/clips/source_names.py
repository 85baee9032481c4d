"""Names of sources of clips that could also be paths."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.core.errors import InputError


def is_synthetic(source: str) -> bool:
    """Return whether a source is the collection of synthetic clips.

    Args:
        source: What the user gave for ``--clips``.

    Returns:
        True for ``synthetic`` and ``synthetic:N``.

    Raises:
        InputError: If a file or folder has that very name.
    """
    if source != "synthetic" and not source.startswith("synthetic:"):
        return False
    if Path(source).exists():
        raise InputError(
            f"{source}: is the name of the synthetic clips and of a file or folder"
            f" here; write ./{source} for that, synthetic:N for N synthetic clips"
        )
    return True
