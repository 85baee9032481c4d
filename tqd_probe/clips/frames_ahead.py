"""Frames of clips, decoded or drawn and degraded in threads ahead of their use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.decoding_process import end_decoding_processes
from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape

Version = tuple[Clip, "Degradation | None"]  # None: the clip as it is
MOST_WORKERS = 8


def choose_workers(asked: int | None, device: str) -> int:
    """Choose how many threads prepare frames.

    Args:
        asked: Number of threads, 0 for none; None to choose.
        device: Where the autoencoder runs.

    Returns:
        Beside a GPU, a thread per free core of this process, at most `MOST_WORKERS`:
        the GPU waits otherwise. On a CPU one: the autoencoder has a thread per core.
    """
    if asked is not None:
        return asked
    if device == "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return min(MOST_WORKERS, max(1, cores - 1))


def read_version(version: Version, shape: ClipShape, seed: int) -> np.ndarray:
    """Decode or draw a clip, and degrade it.

    Args:
        version: The clip and its degradation.
        shape: Frames, pixels and rate of the result.
        seed: The run seed, for random degradations.

    Returns:
        RGB video, uint8 ``[frames, height, width, 3]``.
    """
    clip, degradation = version
    if degradation is None:
        return clip.read(shape)
    return degradation.apply(clip, shape, seed)


class FramesAhead:
    """Reads versions of clips in a known order, some ahead; use it in a ``with`` block.

    A version has the same frames, and fails with the same error, as if it were read
    when it is taken. All versions of a clip share one decoding.
    """

    def __init__(
        self,
        versions: Sequence[Version],
        shape: ClipShape,
        seed: int,
        workers: int,
        is_wanted: Callable[[Clip, Degradation | None], bool],
    ) -> None:
        """Start to read.

        Args:
            versions: What will be taken, in order; some may be left out.
            shape: Frames, pixels and rate.
            seed: The run seed.
            workers: Threads; 0 reads when a version is taken. Each holds a video
                that waits, and one it works on.
            is_wanted: Tells, in a thread, whether a version will be taken at all.
        """
        shared: dict[int, _SharedClip] = {}
        self._versions = [
            (shared.setdefault(id(clip), _SharedClip(clip, shape)), degradation)
            for clip, degradation in versions
        ]
        self._places = {
            (id(clip), degradation): place
            for place, (clip, degradation) in enumerate(versions)
        }
        self._shape, self._seed, self._workers = shape, seed, workers
        self._is_wanted = is_wanted
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._tasks: dict[int, Future[np.ndarray | None]] = {}
        self._next = 0  # the first version that no thread was given
        self._forgotten = 0  # clips before this version are not held any more
        self._last: tuple[int, np.ndarray] | None = None
        self._start(0)

    def __enter__(self) -> FramesAhead:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads; what was not taken is dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._tasks.clear()
        end_decoding_processes()

    def take(self, clip: Clip, degradation: Degradation | None) -> np.ndarray:
        """Return the frames of a version; those before it are dropped.

        Args:
            clip: The clip.
            degradation: The degradation of its pixels; None for the clip as it is.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``; not to be changed. An
            error of the reading is raised here.
        """
        place = self._places.get((id(clip), degradation))
        if place is None:
            return read_version((clip, degradation), self._shape, self._seed)
        if self._last is not None and self._last[0] == place:  # for its first frame
            return self._last[1]
        self._last = None
        for before in [each for each in self._tasks if each < place]:
            self._tasks.pop(before).cancel()
        task = self._tasks.pop(place, None)
        self._next = max(self._next, place + 1)
        self._start(place + 1)
        video = None if task is None else task.result()
        if video is None:
            video = read_version(self._versions[place], self._shape, self._seed)
        self._last = place, video
        for earlier, _ in self._versions[self._forgotten : place]:
            if earlier is not self._versions[place][0]:
                earlier.forget()
        self._forgotten = place
        return video

    def _start(self, place: int) -> None:
        """Give threads the versions from a place on, twice as many as there are."""
        end = min(place + 2 * self._workers, len(self._versions))
        while self._pool is not None and self._next < end:
            self._tasks[self._next] = self._pool.submit(self._read, self._next)
            self._next += 1

    def _read(self, place: int) -> np.ndarray | None:
        """Read a version in a thread; None where it is not needed."""
        clip, degradation = self._versions[place]
        if not self._is_wanted(clip, degradation):
            return None
        return read_version((clip, degradation), self._shape, self._seed)


class _SharedClip:
    """A clip that is decoded once for several degradations of it."""

    def __init__(self, clip: Clip, shape: ClipShape) -> None:
        self._clip, self._shape = clip, shape
        self._lock = threading.Lock()
        self._video: np.ndarray | None = None

    @property
    def id(self) -> str:
        return self._clip.id

    @property
    def caption(self) -> str:
        return self._clip.caption

    def identity(self) -> str:
        return self._clip.identity()

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        if slow != 1.0 or shape != self._shape:
            return self._clip.read(shape, slow)
        with self._lock:
            if self._video is None:
                self._video = self._clip.read(shape)
            return self._video

    def forget(self) -> None:
        """Drop the decoded frames."""
        self._video = None
