"""Signals that end a run after the step under way, saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Notes that SIGTERM or SIGINT arrived.

    Attributes:
        number: The signal, or 0.
    """

    number: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals for the length of a block.

        Yields:
            Nothing.
        """

        def note(number: int, frame: FrameType | None) -> None:
            self.number = number

        before = {}
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                before[number] = signal.signal(number, note)
            except ValueError:  # not the main thread
                continue
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
