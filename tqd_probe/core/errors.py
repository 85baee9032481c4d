"""Errors a user can mend. Each message is one line: the place, the fault, the cure."""

from __future__ import annotations


class TqdError(Exception):
    """Base of all errors the command lines report in one line with exit code 2."""


class InputError(TqdError):
    """A file, a field or an option is missing, damaged or out of range."""


class BadClip(InputError):
    """A clip that cannot be used; it goes to quarantine."""


class ClipTooSmall(BadClip):
    """A clip with fewer pixels than are asked of it."""


class ConfigurationChanged(TqdError):
    """A run directory was made with another configuration."""


class GradientError(TqdError):
    """A gradient is not finite, is not covered, or disagrees with the oracle."""


class MainProcessFailed(TqdError):
    """The first process of a run failed and has said why."""
