"""Measure at which noise levels imbalanced clips teach what golden clips teach."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tqd_probe.core.version import __version__

# Threads that spin while they wait slow torch down tenfold on a busy machine. Read by
# OpenMP when torch is loaded, so it must be said first; a value of the user's stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from tqd_probe.models.load import load_model
    from tqd_probe.probing.api import probe
    from tqd_probe.probing.measure import derive_schedule
    from tqd_probe.sampling.registry import make_sampler
    from tqd_probe.schedules.band_schedule import BandSchedule

__all__ = [
    "BandSchedule",
    "__version__",
    "derive_schedule",
    "load_model",
    "make_sampler",
    "probe",
]  # and the modules train and verify, which can be called
_HOMES = {
    "BandSchedule": "tqd_probe.schedules.band_schedule",
    "derive_schedule": "tqd_probe.probing.measure",
    "load_model": "tqd_probe.models.load",
    "make_sampler": "tqd_probe.sampling.registry",
    "probe": "tqd_probe.probing.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch takes seconds to load."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tqd_probe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
