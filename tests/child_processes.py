"""Functions run in child processes, forked: torch need not be loaded again."""

import contextlib
import os
import socket
import threading
import traceback

from accelerate.state import AcceleratorState
from tqdm import tqdm


def start_child(work, printed=None):
    """Start a function in a child process; what it prints may go to a file."""
    child = os.fork()
    if not child:
        # tqdm's lock is shared over a fork: a child killed with it would keep it.
        tqdm.set_lock(threading.RLock())
        code = 99
        with contextlib.suppress(BaseException):
            code = work() if printed is None else printing_to(printed, work)
        os._exit(code if isinstance(code, int) else 0)
    return child


def printing_to(path, work):
    """Run a function; what it and its own children print goes to a file."""
    with (
        open(path, "w", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        return work()


def ending(child):
    """Wait for a child process; returns its exit code, or the signal below zero."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work, printed=None):
    """Run a function in a child process; returns how it ended."""
    return ending(start_child(work, printed))


def in_two_processes(work, **environment):
    """Run a function in two processes that talk over gloo; returns how they ended.

    A process ends with what the function returns if that is a whole number, with 1 if
    it raises, else with 0.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def one(rank):
        os.environ.update(
            {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "ACCELERATE_USE_CPU": "true",
                **environment,
            }
        )
        AcceleratorState._reset_state(True)
        try:
            code = work()
        except BaseException as error:
            traceback.print_exception(error)
            return 1
        return code if type(code) is int else 0

    children = []
    for rank in range(2):
        child = os.fork()
        if not child:
            os._exit(one(rank))
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
