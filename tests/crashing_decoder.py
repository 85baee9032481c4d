"""Decoders that crash on some files, or never end, as C libraries do."""

from tqd_probe.clips import decoding_process

CRASHES = """
import os, signal
from tqd_probe.clips import decode, decoding_process

def crash_on(name, number):
    real = decode.VideoReader
    def opened(path):
        if name in str(path):
            os.kill(os.getpid(), number)
        return real(path)
    decode.VideoReader = opened

crash_on({name!r}, {number})
decoding_process.serve()
"""

ENDLESS = """
from tqd_probe.clips import decoder_time, decoding_process, frame_times

def endless_on(name):
    real = frame_times.FrameTimes.of
    def of(self, frame, number):
        if name in str(self._path) and number == 2:
            pow(3, 10**10)  # C code that no exception leaves
        return real(self, frame, number)
    frame_times.FrameTimes.of = of

decoder_time.LIMIT_S = {limit}
endless_on({name!r})
decoding_process.serve()
"""


def endless_on(monkeypatch, name, limit):
    """Let the decoder of files whose name holds a text be busy without end.

    Args:
        monkeypatch: Pytest's.
        name: The text.
        limit: Seconds of processor time that a frame may take.
    """
    decoding_process.end_decoding_processes()
    serve = ENDLESS.format(name=name, limit=limit)
    monkeypatch.setattr(decoding_process, "SERVE", f"exec({serve!r})")


def crash_on(monkeypatch, name, number):
    """Let a signal end the decoder of files whose name holds a text."""
    decoding_process.end_decoding_processes()
    serve = CRASHES.format(name=name, number=int(number))
    monkeypatch.setattr(decoding_process, "SERVE", f"exec({serve!r})")
