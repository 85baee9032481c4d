"""A prepared probe of the shipped checkpoint, for the studies of cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqd_probe.probing.draws import Probe
from tqd_probe.probing.prepare import prepare
from tqd_probe.probing.settings import RunSettings


def tiny_probe(folder: Path, **options: Any) -> Probe:
    """Prepare a probe of the shipped checkpoint.

    Args:
        folder: Run directory.
        **options: Fields of `RunSettings`.

    Returns:
        The probe; its store is released by the caller.
    """
    return prepare(RunSettings(ckpt="tiny", out=folder, **options), quiet=True)
