"""Measure at which noise levels imbalanced clips teach what golden clips teach."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tqd_probe.core.signals import end_loading_on_interrupt, is_command
from tqd_probe.core.version import __version__

if is_command(sys.argv[0] if sys.argv else ""):
    end_loading_on_interrupt()

# Threads that spin while they wait slow torch down tenfold on a busy machine. Read by
# OpenMP when torch is loaded, so it must be set first; a value of the user's stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from tqd_probe.api import probe
    from tqd_probe.gradients.per_clip import per_clip_gradients
    from tqd_probe.models.load import load_model
    from tqd_probe.probing.compare_gradients import compare_gradients
    from tqd_probe.probing.derive_schedule import derive_schedule
    from tqd_probe.probing.result import ProbeResult
    from tqd_probe.sampling.registry import make_sampler
    from tqd_probe.schedules.band_schedule import BandSchedule
    from tqd_probe.training.train import train
    from tqd_probe.verification.verify import verify

__all__ = [
    "BandSchedule",
    "ProbeResult",
    "__version__",
    "compare_gradients",
    "derive_schedule",
    "load_model",
    "make_sampler",
    "per_clip_gradients",
    "probe",
    "train",
    "verify",
]
_HOMES = {
    "BandSchedule": "tqd_probe.schedules.band_schedule",
    "ProbeResult": "tqd_probe.probing.result",
    "compare_gradients": "tqd_probe.probing.compare_gradients",
    "derive_schedule": "tqd_probe.probing.derive_schedule",
    "load_model": "tqd_probe.models.load",
    "make_sampler": "tqd_probe.sampling.registry",
    "per_clip_gradients": "tqd_probe.gradients.per_clip",
    "probe": "tqd_probe.api",
    "train": "tqd_probe.training.train",
    "verify": "tqd_probe.verification.verify",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch takes seconds to load."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tqd_probe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package, whose functions `train` and `verify` keep their names.

    Commands of these names are modules beside them, and the import system would put a
    module in place of the function once it is imported. ``from tqd_probe.train import
    main`` and ``python -m tqd_probe.train`` find the module all the same.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
