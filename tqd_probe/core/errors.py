"""Errors a user can fix. Each message is one line: the place, the fault, the cure."""

from __future__ import annotations


class TqdError(Exception):
    """Base of all errors the command lines report in one line with exit code 2."""


class InputError(TqdError):
    """A file, a field or an option is missing, damaged or out of range."""


class BadClip(InputError):
    """A clip that cannot be used; it is quarantined."""


class ClipTooSmall(BadClip):
    """A clip with fewer pixels than the wanted shape."""


class ConfigurationChanged(TqdError):
    """A run directory was made with another configuration."""


class GradientError(TqdError):
    """A gradient is not finite, not covered, or differs from the reference."""


class MainProcessFailed(TqdError):
    """The main process of a run failed and has reported why."""
