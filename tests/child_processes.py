"""Functions run in child processes, forked: torch need not be loaded again."""

import contextlib
import os
import socket
import traceback

from accelerate.state import AcceleratorState


def in_child(work):
    """Run a function in a child process; returns how it ended."""
    child = os.fork()
    if not child:
        code = 99
        with contextlib.suppress(BaseException):
            code = work()
        os._exit(code if isinstance(code, int) else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
