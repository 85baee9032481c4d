"""A prepared probe of the shipped checkpoint, for the studies of cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqd_probe.probing.prepare import prepare
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.probing.workspace import Workspace

DEGRADATIONS = "blur:3,noise:3,downscale:3,freeze:5"


def tiny_probe(folder: Path, **options: Any) -> Workspace:
    """Prepare a probe of the shipped checkpoint.

    Args:
        folder: Run directory.
        **options: Fields of `ProbeRunSettings`; the raw metric and `DEGRADATIONS`
            without others.

    Returns:
        The probe, with its run directory; released by the caller.
    """
    options = {"metric": "raw", "degradations": DEGRADATIONS} | options
    settings = ProbeRunSettings(ckpt="tiny", out=folder, **options)
    probe = prepare(settings, progress=False)
    probe.claim()
    return probe
