"""Errors that the public functions raise: one line each, with the place and the cure."""

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
