"""Score clips with Ray Data, on this machine or a cluster.

Scores equal those of `local_processes`. Results return to the calling process, which
alone writes the journal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import cv2

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.tasks import Task

SHARD = 64  # clips per Ray task
Result = tuple[Task, dict[str, Any]]


def score_on_ray(
    tasks: Sequence[Task],
    reading: ReadOptions,
    workers: int | None,
    address: str | None,
    shard: int = SHARD,
) -> Iterator[Result]:
    """Score clips with Ray Data, in shards.

    Videos must be readable under the same paths on every machine. Results return shard
    by shard; a killed run repeats only the shards that had not returned.

    Args:
        tasks: The clips.
        reading: How they are read.
        workers: Cores of a local Ray started here; None for all. Not with an address.
        address: Address of a cluster, ``auto`` for the one of this machine; None starts
            a local Ray, or uses ``RAY_ADDRESS``.
        shard: Clips per Ray task.

    Yields:
        Clips and results, in the order in which shards are done.

    Raises:
        InputError: If Ray is not installed or cannot be reached.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            "--engine ray: Ray is not installed; pip install 'tqd_probe[ray]'"
        ) from error
    started = not ray.is_initialized()
    try:
        if started:
            ray.init(
                address=address,
                num_cpus=None if address else workers,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        # Text, because Arrow would merge the fields of unlike results.
        shards = [list(tasks[at : at + shard]) for at in range(0, len(tasks), shard)]
        items = [
            {"shard": index, "tasks": json.dumps([asdict(task) for task in part])}
            for index, part in enumerate(shards)
        ]
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = (
            ray.data.from_items(items, override_num_blocks=len(items))
            .map(_ShardScorer(reading).score, num_cpus=1)
            .iter_rows()
        )
        for row in rows:
            yield from zip(shards[row["shard"]], json.loads(row["results"]))
    except (ConnectionError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"--engine ray: {reason}; check --ray-address, or that the package is"
            " installed on every machine"
        ) from error
    finally:
        if started:
            ray.shutdown()


class _ShardScorer:
    """Scores one shard of clips; what Ray sends to its workers."""

    def __init__(self, reading: ReadOptions) -> None:
        """Keep how clips are read."""
        self._reading = reading

    def score(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the shard's number with its results."""
        cv2.setNumThreads(1)
        tasks = [Task(**fields) for fields in json.loads(row["tasks"])]
        results = [score_clip(task, self._reading) for task in tasks]
        return {"shard": row["shard"], "results": json.dumps(results)}
