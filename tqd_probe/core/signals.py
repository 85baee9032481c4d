"""SIGTERM and SIGINT as a request to stop after the current step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Records that SIGTERM or SIGINT arrived.

    Attributes:
        number: The last signal, or 0.
    """

    number: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside a ``with`` block; outside the main thread, none.

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
