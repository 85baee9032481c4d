"""Processor time that a decoder may take for one frame.

Decoders are C code, and a damaged file can send one into a loop without end, which no
exception leaves. In a process that does nothing but decode, a signal ends it there, and
the file is a bad clip. Processor time is counted, not time on the clock: a slow disk
and a busy machine take none of it.
"""

from __future__ import annotations

import signal

LIMIT_S = 120.0  # a frame of 8K video takes a second or two on one core
ENDED_BY = signal.SIGPROF  # whose default is to end the process, in C code too

_limited = False


def limit_decoder_time() -> None:
    """Let decoders of this process be ended by the limit; no other process's are."""
    global _limited
    _limited = True


def start_frame() -> None:
    """Count from here: a file was opened, or a frame was decoded."""
    if _limited:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)


def stop() -> None:
    """Count no further: no decoder is at work."""
    if _limited:
        signal.setitimer(signal.ITIMER_PROF, 0)
