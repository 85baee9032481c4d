"""Score clips in processes on this machine.

Results are given as soon as they are there, in any order.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import cv2

from tqd_probe.clips.decoder_time import LIMIT_S, limit_decoder_time
from tqd_probe.core.signals import interrupts_blocked
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.tasks import Task

AHEAD = 4  # clips submitted per worker
Result = tuple[Task, dict[str, Any]]


def score_locally(
    tasks: Sequence[Task], reading: ReadOptions, workers: int
) -> Iterator[Result]:
    """Score clips on this machine.

    A clip that kills its process (decoders are C code) is given as bad. It is found by
    scoring the clips in flight again, one by one.

    Args:
        tasks: The clips.
        reading: How they are read.
        workers: Processes besides this one, which decodes nothing; 0 scores here, where
            a crash of a decoder ends the run. Synthetic clips need no decoder: 1 worker
            scores them here.

    Yields:
        Clips and results, in the order in which they are done.
    """
    drawn = all(task.video.startswith("synthetic:") for task in tasks)
    if workers == 0 or (workers == 1 and drawn):
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
        in_flight: dict[Any, Task] = {}
        done: set[str] = set()
        try:
            for task, result in _pool(left, reading, workers, in_flight):
                done.add(task.video)
                yield task, result
        except BrokenProcessPool:
            for task in list(in_flight.values()):
                if task.video not in done:
                    done.add(task.video)
                    yield task, _alone(task, reading)
        left = [task for task in left if task.video not in done]


def _pool(
    tasks: Sequence[Task],
    reading: ReadOptions,
    workers: int,
    in_flight: dict[Any, Task],
) -> Iterator[Result]:
    """Score in a pool of processes; `in_flight` holds the submitted clips.

    Yields:
        Clips and results, in the order in which they are done.

    Raises:
        BrokenProcessPool: If a process died.
    """
    waiting = iter(tasks)
    pool = _executor(min(workers, len(tasks)))
    try:
        while True:
            while len(in_flight) < workers * AHEAD:
                task = next(waiting, None)
                if task is None:
                    break
                with interrupts_blocked():  # it starts the processes, one by one
                    submitted = pool.submit(score_clip, task, reading)
                in_flight[submitted] = task
            if not in_flight:
                return
            for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield in_flight.pop(future), result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _alone(task: Task, reading: ReadOptions) -> dict[str, Any]:
    """Score one clip in a process of its own."""
    with _executor(1) as pool:
        try:
            with interrupts_blocked():
                submitted = pool.submit(score_clip, task, reading)
            return submitted.result()
        except BrokenProcessPool:
            return {
                "bad": f"{task.video}: video: decoding it killed the process, or took"
                f" {LIMIT_S:g} s of processor time without a frame; replace the file"
            }


def _executor(workers: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes; a fork would copy OpenCV's thread locks."""
    return ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start, initargs=(os.getpid(),)
    )


def _start(parent: int) -> None:
    """Set up a worker: one thread, an end to endless decoding, exit with the parent."""
    cv2.setNumThreads(1)
    limit_decoder_time()

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
