"""Errors of the public functions. Each message is a line: place, fault, cure."""

from tqd_probe.core.errors import (
    BadClip,
    ClipTooSmall,
    ConfigurationChanged,
    GradientError,
    InputError,
    TqdError,
)

__all__ = [
    "BadClip",
    "ClipTooSmall",
    "ConfigurationChanged",
    "GradientError",
    "InputError",
    "TqdError",
]
