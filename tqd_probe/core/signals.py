"""Ctrl-C (SIGINT) and SIGTERM: while a command loads, and as a request to stop.

Loading torch takes seconds. An exception raised by Ctrl-C inside an import may come out
as another one, or be printed and lost, so that a command ends at once instead: nothing
has been written by then.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

LOADING = b"stopped while loading; nothing was changed\n"
COMMANDS = ("-m", "tqd-probe")  # what calls a command: ``python -m``, or the script


def is_command(name: str) -> bool:
    """Return whether this process runs one of the commands.

    Args:
        name: ``sys.argv[0]`` while the package is imported; ``python -m`` has put no
            path there yet.

    Returns:
        False where the package is imported by another program, whose handling of
        Ctrl-C is its own.
    """
    return os.path.basename(name) in COMMANDS


def end_while_loading(number: int, frame: FrameType | None) -> NoReturn:
    """Say that nothing was changed, and end the process: a handler of SIGINT."""
    if os.environ.get("RANK", "0") == "0":
        os.write(2, LOADING)
    os._exit(128 + number)


def end_loading_on_interrupt() -> None:
    """Let Ctrl-C end this process, which runs a command, in one line while it loads.

    Where SIGINT is ignored (``nohup``, a job in the background) it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_while_loading)


@contextmanager
def interrupts_raised(exit_code: Callable[[], int]) -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt inside a block; `end_while_loading` did not.

    Args:
        exit_code: Tells the exit code after the block, where Ctrl-C can change nothing
            any more: Python's own shutdown would show a traceback.

    Yields:
        Nothing.
    """
    if signal.getsignal(signal.SIGINT) is not end_while_loading:
        yield  # another program's process
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(exit_code())

    signal.signal(signal.SIGINT, _raise_in_command)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, end)


def _raise_in_command(number: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt in a process that runs a command."""
    raise KeyboardInterrupt


@contextmanager
def loading() -> Iterator[None]:
    """Let Ctrl-C end a command at once inside a block of imports.

    Yields:
        Nothing. In another program's process the block is as any other.
    """
    if signal.getsignal(signal.SIGINT) is not _raise_in_command:
        yield
        return
    signal.signal(signal.SIGINT, end_while_loading)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _raise_in_command)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started; these never receive it.

    A terminal sends it to all of them, and one that is just starting would show a
    traceback. They end with this process.

    Yields:
        Nothing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
