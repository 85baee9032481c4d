"""Figures written as PNG files, atomically."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from tqd_probe.core.files import staged


def write_figure(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure.

    Args:
        figure: The figure; made without pyplot, so that nothing keeps it in memory.
        path: The PNG file.
        dpi: Dots per inch.

    Returns:
        The file.
    """
    with staged(path) as part:
        figure.savefig(part, dpi=dpi, format="png", bbox_inches="tight")
    return path
