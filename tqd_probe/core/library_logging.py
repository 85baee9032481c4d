"""Settings of the libraries a command uses."""

from __future__ import annotations

import warnings


def silence_libraries() -> None:
    """Silence progress bars and notes of libraries; our own bars say what goes on."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
