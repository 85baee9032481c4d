"""Silence the messages and progress bars of diffusers and transformers."""

from __future__ import annotations

import warnings


def silence_libraries() -> None:
    """Show only errors of the libraries; the commands have their own progress bars."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
