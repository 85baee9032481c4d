"""Score many clips on the cores of this machine.

Every result goes to the caller as soon as it is there, in any order.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import cv2

from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.tasks import Task

AHEAD = 4  # clips handed out per worker
Result = tuple[Task, dict[str, Any]]


def score_locally(
    tasks: Sequence[Task], reading: ReadOptions, workers: int
) -> Iterator[Result]:
    """Score on this machine.

    A clip that kills its process (decoders are C code) is found by trying those in
    flight one by one, and given as bad.

    Args:
        tasks: The clips.
        reading: How they are read.
        workers: Processes; 1 scores in this one.

    Yields:
        Clips and results, in the order in which they are done.
    """
    if workers == 1 or len(tasks) == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            for task in tasks:
                yield task, score_clip(task, reading)
        finally:
            cv2.setNumThreads(threads)
        return
    left = list(tasks)
    while left:
        flying: dict[Any, Task] = {}
        done: set[str] = set()
        try:
            for task, result in _pool(left, reading, workers, flying):
                done.add(task.video)
                yield task, result
        except BrokenProcessPool:
            for task in list(flying.values()):
                if task.video not in done:
                    done.add(task.video)
                    yield task, _alone(task, reading)
        left = [task for task in left if task.video not in done]


def _pool(
    tasks: Sequence[Task], reading: ReadOptions, workers: int, flying: dict[Any, Task]
) -> Iterator[Result]:
    """Score in a pool of processes; `flying` holds what was handed out.

    Yields:
        Clips and results, in the order in which they are done.

    Raises:
        BrokenProcessPool: If a process died.
    """
    waiting = iter(tasks)
    pool = _executor(min(workers, len(tasks)))
    try:
        while True:
            while len(flying) < workers * AHEAD:
                task = next(waiting, None)
                if task is None:
                    break
                flying[pool.submit(score_clip, task, reading)] = task
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield flying.pop(future), result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _alone(task: Task, reading: ReadOptions) -> dict[str, Any]:
    """Score one clip in a process of its own."""
    with _executor(1) as pool:
        try:
            return pool.submit(score_clip, task, reading).result()
        except BrokenProcessPool:
            return {
                "bad": f"{task.video}: video: decoding it killed the process; replace"
                " the file"
            }


def _executor(workers: int) -> ProcessPoolExecutor:
    """Return a pool; a fork would inherit the locks of OpenCV's threads."""
    return ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start, initargs=(os.getpid(),)
    )


def _start(parent: int) -> None:
    """Prepare a worker: one thread, interrupts left to the parent, gone with it."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
