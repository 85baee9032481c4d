"""A decoder that crashes on some files, as C libraries do."""

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


def crash_on(monkeypatch, name, number):
    """Let a signal end the decoder of files whose name holds a text."""
    decoding_process.end_decoding_processes()
    serve = CRASHES.format(name=name, number=int(number))
    monkeypatch.setattr(decoding_process, "SERVE", f"exec({serve!r})")
