"""Several processes that share one run, started by ``accelerate launch``.

The main process (rank 0) decides and writes what there is only one of; every process
captures its share of the draws into the same store.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tqd_probe.core.errors import MainProcessFailed, TqdError

T = TypeVar("T")
TIMEOUT = timedelta(hours=12)  # others wait while the main process reduces a level


@dataclass(frozen=True)
class Processes:
    """Rank of this process and number of processes of the run.

    Attributes:
        rank: Number of this process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    @staticmethod
    def join(device: str) -> Processes:
        """Join the processes that a launcher started, if there are several.

        Args:
            device: The torch device of the run.

        Returns:
            Rank and number of processes.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Processes()
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu", timeout=TIMEOUT)
        return Processes(state.process_index, state.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this is the main process (rank 0)."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Return this process's device.

        Args:
            name: The device asked for; ``cuda`` becomes one device per process.

        Returns:
            The device.
        """
        if self.world > 1 and name == "cuda":
            return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return name

    def owns(self, index: int) -> bool:
        """Return whether a piece of work is this process's.

        Args:
            index: Number of the piece.

        Returns:
            True if it is.
        """
        return index % self.world == self.rank

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def largest(self, number: int) -> int:
        """Return the largest of the numbers that all processes give.

        Args:
            number: That of this process.

        Returns:
            The same in every process.
        """
        if self.world == 1:
            return number
        from accelerate.utils import gather_object

        return int(max(gather_object([number])))

    def broadcast_from_main(self, decide: Callable[[], T]) -> T | None:
        """Call a function in the main process and send its result to all.

        Args:
            decide: Called in the main process alone.

        Returns:
            The result. Other processes receive it if it is a bool, number, string or
            dictionary, else None.

        Raises:
            MainProcessFailed: In the other processes, if the main one failed.
            TqdError: In the main process, if it failed.
        """
        if self.world == 1:
            return decide()
        from accelerate.utils import broadcast_object_list

        message: list[Any] = [None, None]
        result: T | None = None
        if self.is_main:
            try:
                result = decide()
                plain = isinstance(result, (bool, int, float, str, dict))
                message = [None, result if plain else None]
            except TqdError as error:
                broadcast_object_list([str(error), None])
                raise
        message = broadcast_object_list(message)
        if message[0] is not None:
            raise MainProcessFailed(message[0])
        return result if self.is_main else message[1]


def is_main_process() -> bool:
    """Return whether this process has rank 0 or is alone; before `Processes.join` too.

    Returns:
        True if it has; it alone prints.
    """
    return os.environ.get("RANK", "0") == "0"


def launcher_shards() -> bool:
    """Return whether ``accelerate launch`` was told to divide weights (FSDP).

    Returns:
        True after ``--use_fsdp``.
    """
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def disconnect() -> None:
    """End the connection to the other processes, if there is one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()


@contextmanager
def shared_temporary_folder(processes: Processes) -> Iterator[Path]:
    """Make a folder that all processes share and that is removed after the block.

    Args:
        processes: The processes of the run.

    Yields:
        The folder.
    """
    with tempfile.TemporaryDirectory() as own:
        folder = processes.broadcast_from_main(lambda: own)
        assert folder is not None
        yield Path(folder)
        processes.barrier()  # all have read what they need
