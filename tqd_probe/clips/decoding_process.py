"""Decoding in processes of their own: a decoder that crashes ends none but its own.

Decoders are C code. A damaged file that crashes one is a bad clip like any other here;
in the process of a run it would end the run without a word. The processes are started
as ``python -c``, not by `multiprocessing`, so that scripts and notebooks of users are
not imported again.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tqd_probe.clips.decode import Size, decode_frames, decode_size, decode_whole
from tqd_probe.clips.decoder_time import ENDED_BY, LIMIT_S, limit_decoder_time
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import BadClip, ClipTooSmall, InputError
from tqd_probe.core.signals import interrupts_blocked

SERVE = "from tqd_probe.clips.decoding_process import serve; serve()"
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
TRIALS = 2  # of a file whose decoder ended, before it is called bad
ERRORS = {each.__name__: each for each in (ClipTooSmall, BadClip, MemoryError)}


class DecoderEnded(Exception):
    """A decoding process ended before it answered.

    Attributes:
        code: Its exit code; negative for a signal.
    """

    def __init__(self, code: int) -> None:
        """Keep how it ended.

        Args:
            code: Its exit code.
        """
        self.code = code
        super().__init__(f"exit code {code}")


class DecodingProcess:
    """A process that decodes one file after the other."""

    def __init__(self) -> None:
        """Start it; Ctrl-C in the terminal does not reach it."""
        self._socket, other = socket.socketpair()
        with other, interrupts_blocked():
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    START + SERVE,
                    json.dumps(sys.path),
                    str(other.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # of C libraries; errors come as answers
                pass_fds=[other.fileno()],
            )
        self._answers = self._socket.makefile("rb")

    def ask(self, **task: Any) -> tuple[dict[str, Any], np.ndarray | None]:
        """Let it do a task.

        Args:
            **task: What `serve` understands.

        Returns:
            The answer, and the array that follows it.

        Raises:
            DecoderEnded: If it ended before it answered.
        """
        with suppress(ConnectionError):
            self._socket.sendall(json.dumps(task).encode() + b"\n")
            line = self._answers.readline()
            if line.endswith(b"\n"):
                answer = json.loads(line)
                if "shape" not in answer:
                    return answer, None
                array = np.empty(answer["shape"], np.uint8)
                if self._answers.readinto(array.data.cast("B")) == array.nbytes:
                    return answer, array
        self._close_socket()
        raise DecoderEnded(self._process.wait())

    def close(self) -> None:
        """End it."""
        self._close_socket()
        self._process.kill()
        self._process.wait()

    def _close_socket(self) -> None:
        self._answers.close()
        self._socket.close()


class _Idle:
    """Processes that wait for a task; those of the process that was forked are not."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: list[DecodingProcess] = []


_idle = _Idle()


def _forget_after_fork() -> None:
    """Leave the processes to the parent: two must not talk to one decoder."""
    global _idle
    _idle = _Idle()


os.register_at_fork(after_in_child=_forget_after_fork)


def end_decoding_processes() -> None:
    """End the processes that wait for a task; the next task starts one again."""
    with _idle.lock:
        waiting, _idle.waiting = _idle.waiting, []
    for process in waiting:
        process.close()


atexit.register(end_decoding_processes)


def read_frames(path: Path, shape: ClipShape, slow: float) -> tuple[np.ndarray, bool]:
    """Decode a file in another process; see `decode.decode_frames`.

    Args:
        path: The file.
        shape: Frames, pixels and rate of the result.
        slow: Slow-motion factor.

    Returns:
        RGB video, uint8 ``[frames, height, width, 3]``; whether it looks interlaced.

    Raises:
        BadClip: As `decode.decode_frames` does, and if the file crashes its decoder or
            keeps it busy without end.
    """
    wanted = [shape.frames, shape.height, shape.width, shape.fps]
    answer, video = _ask(path, task="frames", wanted=wanted, slow=slow)
    assert video is not None
    return video, answer["interlaced"]


def read_size(path: Path) -> Size:
    """Read length and size of a file in another process; see `decode.decode_size`.

    Args:
        path: The file.

    Returns:
        Seconds, height and width in pixels.

    Raises:
        BadClip: As `decode.decode_size` does, and if the file crashes its decoder or
            keeps it busy without end.
    """
    answer, _ = _ask(path, task="size")
    seconds, height, width = answer["size"]
    return seconds, height, width


def check_whole(path: Path) -> None:
    """Decode every frame of a file in another process; see `decode.decode_whole`.

    Args:
        path: The file.

    Raises:
        BadClip: As `decode.decode_whole` does, and if the file crashes its decoder or
            keeps it busy without end.
    """
    _ask(path, task="whole")


def _ask(path: Path, **task: Any) -> tuple[dict[str, Any], np.ndarray | None]:
    """Let a process do a task, a new one where a decoder crashed.

    Returns:
        Its answer, and the array that follows it.

    Raises:
        BadClip: If it found the file bad, or its decoder crashed again.
        InputError: If no decoding process can be started.
        RuntimeError: If there is a fault in this package.
    """
    ended = 0
    folder = None if path.is_absolute() else os.getcwd()
    for _ in range(TRIALS):
        with _idle.lock:
            process = _idle.waiting.pop() if _idle.waiting else None
        process = process or DecodingProcess()
        try:
            answer, array = process.ask(path=str(path), folder=folder, **task)
        except DecoderEnded as error:
            ended = error.code
            if ended == -ENDED_BY:  # a second trial would take as long
                break
            continue
        except BaseException:  # interrupted: it may still be answering
            process.close()
            raise
        with _idle.lock:
            _idle.waiting.append(process)
        if "error" not in answer:
            return answer, array
        raise ERRORS.get(answer["error"], RuntimeError)(answer["text"])
    if ended >= 0:
        raise InputError(
            f"{path}: no process to decode it could be started (exit code {ended});"
            f" {sys.executable} -c 'import {__name__}' tells why"
        )
    raise BadClip(_crash_text(path, signal.Signals(-ended).name))


def _crash_text(path: Path, why: str) -> str:
    """Write the message about a file whose decoder was ended by a signal."""
    if why == "SIGKILL":
        return (
            f"{path}: video: its decoder was killed (SIGKILL), as where memory runs"
            " out; end other programs, or replace the file"
        )
    if why == ENDED_BY.name:
        return (
            f"{path}: video: its decoder gave no frame in {LIMIT_S:g} s of processor"
            " time; the file is damaged: replace it or leave it out"
        )
    return (
        f"{path}: video: crashes its decoder ({why}); the file is damaged: replace it"
        " or leave it out"
    )


def serve() -> None:
    """Decode what is asked for until the other side closes: the process's own code."""
    cv2.setNumThreads(1)  # there is a process per reading thread
    limit_decoder_time()
    with socket.socket(fileno=int(sys.argv[2])) as connection:
        for line in connection.makefile("rb"):
            answer, array = answer_to(json.loads(line))
            try:
                connection.sendall(json.dumps(answer).encode() + b"\n")
                if array is not None:
                    connection.sendall(array.data.cast("B"))
            except ConnectionError:  # the run was ended
                return


def answer_to(task: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    """Do one task.

    Args:
        task: ``task`` (``frames``, ``size`` or ``whole``), ``path``, ``folder`` where a
            relative path starts, and arguments.

    Returns:
        The answer as JSON has it, with ``shape`` where an array follows, or with the
        name of an ``error`` and its text; and the array.
    """
    path = Path(task["path"])
    try:
        if task["folder"] is not None:  # where relative paths start now
            os.chdir(task["folder"])
        if task["task"] == "size":
            return {"size": decode_size(path)}, None
        if task["task"] == "whole":
            decode_whole(path)
            return {}, None
        shape = ClipShape(*task["wanted"])
        video, interlaced = decode_frames(path, shape, task["slow"])
    except (BadClip, MemoryError) as error:
        return {"error": type(error).__name__, "text": str(error)}, None
    except Exception:  # a fault of ours: shown as it is
        return {"error": "fault", "text": traceback.format_exc()}, None
    video = np.ascontiguousarray(video)
    return {"shape": video.shape, "interlaced": interlaced}, video
