"""Several processes that share one run, started by ``accelerate launch``.

The first process ("main") decides and writes what there is one of; every process
captures its share of the draws into the same store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from tqd_probe.core.errors import FailedElsewhere, InputError, TqdError

T = TypeVar("T")
PATIENCE = timedelta(hours=12)  # a level may be reduced for long while others wait


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: Number of this process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    @staticmethod
    def joined(device: str) -> Processes:
        """Join the processes that a launcher started; a lone one joins nothing.

        Args:
            device: The torch device of the run.

        Returns:
            This process's place.

        Raises:
            InputError: If the launcher was told to shard the network.
        """
        if os.environ.get("ACCELERATE_USE_FSDP", "false") == "true":
            raise InputError(
                "--use_fsdp: gradients of sharded parameters cannot be captured; launch"
                " without it: processes share the draws, each with a whole network"
                " (--dtype bf16 --checkpointing on save memory)"
            )
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Processes()
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
        return Processes(state.process_index, state.num_processes)

    @property
    def main(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Name this process's device.

        Args:
            name: The device asked for; ``cuda`` becomes one device per process.

        Returns:
            The device.
        """
        if self.world > 1 and name == "cuda":
            return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return name

    def owns(self, index: int) -> bool:
        """Say whether a piece of work is this process's.

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

    def main_says(self, decide: Callable[[], T]) -> T | None:
        """Let the first process do something once, and tell all what came of it.

        Args:
            decide: Called in the first process alone. Where there are several, its
                result is sent if it is a plain value; others get None.

        Returns:
            The result.

        Raises:
            FailedElsewhere: In the other processes, if the first one failed.
            TqdError: In the first process, if it failed.
        """
        if self.world == 1:
            return decide()
        from accelerate.utils import broadcast_object_list

        message: list[Any] = [None, None]
        result: T | None = None
        if self.main:
            try:
                result = decide()
                plain = isinstance(result, (bool, int, float, str, dict))
                message = [None, result if plain else None]
            except TqdError as error:
                broadcast_object_list([str(error), None])
                raise
        message = broadcast_object_list(message)
        if message[0] is not None:
            raise FailedElsewhere(message[0])
        return result if self.main else message[1]


def is_first() -> bool:
    """Say whether this process is the first of those a launcher started, or alone.

    Returns:
        True if it is; it speaks for all.
    """
    return os.environ.get("RANK", "0") == "0"


def leave() -> None:
    """End the connection to the other processes, if there is one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()
