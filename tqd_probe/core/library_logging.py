"""Silence the messages and progress bars of diffusers and transformers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def silence_libraries() -> None:
    """Show only errors of the libraries; the commands have their own progress bars."""
    # diffusers imports torchao where it is installed; it tells what it does without.
    logging.getLogger("torchao").setLevel(logging.ERROR)
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")


@contextmanager
def silent_diffusers() -> Iterator[None]:
    """Silence diffusers, its errors too: what it raises is raised again in one line.

    Yields:
        Nothing.
    """
    import diffusers

    logging_of: Any = diffusers.utils.logging
    before = logging_of.get_verbosity()
    logging_of.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging_of.set_verbosity(before)
