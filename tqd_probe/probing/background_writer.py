"""Writing shards in a thread while the next gradients are captured."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundWriter:
    """Runs one task at a time in a thread of its own.

    At most one task is in flight, so that no more than one shard more is in memory. An
    error of a task is raised at the next one, or at the end.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._pool = ThreadPoolExecutor(1)
        self._task: Future[Any] | None = None

    def submit(self, task: Callable[..., None], *arguments: Any) -> None:
        """Start a task once the previous one is done.

        Args:
            task: What to call.
            *arguments: What to call it with.
        """
        self.wait()
        self._task = self._pool.submit(task, *arguments)

    def wait(self) -> None:
        """Wait for the task that was started last; raises its error."""
        task, self._task = self._task, None
        if task is not None:
            task.result()

    def __enter__(self) -> BackgroundWriter:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for the last task, and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()
