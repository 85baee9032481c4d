"""Run a scoring command: score or convert, resume, and write the table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tqd_probe.clips.video_reader import LOOKS_INTERLACED
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.scoring import videoalign
from tqd_probe.scoring.journal import Journal
from tqd_probe.scoring.local_processes import score_locally
from tqd_probe.scoring.published.convert import convert
from tqd_probe.scoring.quarantine import write_quarantine
from tqd_probe.scoring.ray_data import score_on_ray
from tqd_probe.scoring.score_table import check_out, write_scores
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.scoring.tasks import Task, list_tasks

PROXIES = "weight-free proxies, not a model's scores"


def score(settings: ScoreSettings, quiet: bool = False) -> dict[str, Any]:
    """Score clips, or convert published scores, and write the table.

    Args:
        settings: The settings.
        quiet: No progress bar.

    Returns:
        The content of the summary file, and the number of clips quarantined.

    Raises:
        InputError: If an input is at fault; no half-written file is left.
    """
    check_out(settings.out)
    if settings.from_ is not None:
        summary, bad = convert(
            settings.from_,
            settings.out,
            settings.classification(),
            columns={
                "video": settings.video_column,
                "mq": settings.mq_column,
                "vq": settings.vq_column,
            },
            scale=settings.scale,
            videos=settings.videos,
            max_bad=settings.max_bad or 0,
            quiet=quiet,
        )
        count = write_quarantine(settings.out, (("", reason) for reason in bad))
    else:
        notes: list[str] = []
        tasks = list_tasks(str(settings.clips), settings.num_clips, notes)
        for note in () if quiet else notes:
            print(note, file=sys.stderr, flush=True)
        with Journal(
            settings.out.with_suffix(".journal.jsonl"),
            _score_inputs(settings),
            settings.overwrite,
        ) as journal:
            _run(settings, tasks, journal, quiet)
            count = write_quarantine(settings.out, journal.bad(tasks))
            summary = _write(settings, tasks, journal)
            combed = list(journal.interlaced(tasks))
            if combed and not quiet:
                print(f"warning: {interlaced_text(combed)}", file=sys.stderr)
    summary["quarantined"] = count
    return summary


def interlaced_text(videos: Sequence[str]) -> str:
    """Name the clips that look interlaced, three at most."""
    named = ", ".join(Path(video).name for video in videos[:3])
    more = f" and {len(videos) - 3} more" if len(videos) > 3 else ""
    return f"{named}{more}: {LOOKS_INTERLACED}"


def _score_inputs(settings: ScoreSettings) -> dict[str, Any]:
    """Return everything the scores depend on, for the journal."""
    if settings.scorer == "videoalign":
        return videoalign.describe(settings.weights or Path())
    return {"scorer": PROXIES, **settings.reading().describe()}


def _run(
    settings: ScoreSettings, tasks: Sequence[Task], journal: Journal, quiet: bool
) -> None:
    """Score the clips that are not in the journal.

    Raises:
        BadClip: If more clips are bad than `--max-bad`.
    """
    todo = [task for task in tasks if not journal.has(task)]
    bad = 0
    if settings.max_bad is not None:
        waiting = {task.video for task in todo}
        done = [task for task in tasks if task.video not in waiting]
        bad = sum(1 for _ in journal.bad(done))
    bar = tqdm(
        total=len(tasks), initial=len(tasks) - len(todo), unit="clip", disable=quiet
    )
    with bar:
        for task, result in _results(settings, todo):
            journal.add(task, result)
            bar.update()
            if "bad" in result:
                bad += 1
                bar.set_postfix(bad=bad)
                if settings.max_bad is not None and bad > settings.max_bad:
                    raise BadClip(
                        f"{result['bad']} ({bad} bad clips, --max-bad"
                        f" {settings.max_bad})"
                    )


def _results(
    settings: ScoreSettings, todo: Sequence[Task]
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Score clips by the scorer and engine chosen."""
    if not todo:
        return
    if settings.scorer == "videoalign":
        model = videoalign.VideoAlign(
            settings.weights or Path(), settings.videoalign_code, settings.device
        )
        yield from model.score(todo, settings.batch_size)
    elif settings.engine == "ray":
        yield from score_on_ray(
            todo,
            settings.reading(),
            settings.workers,
            settings.ray_address,
            settings.shard_size,
        )
    else:
        yield from score_locally(todo, settings.reading(), settings.worker_count())


def _write(
    settings: ScoreSettings, tasks: Sequence[Task], journal: Journal
) -> dict[str, Any]:
    """Write the table from the journal.

    Returns:
        The summary.

    Raises:
        InputError: If no clip could be scored.
    """
    folder = settings.out.parent
    rows: Callable[[], Iterator[Any]] = lambda: journal.rows(tasks, folder)  # noqa: E731
    if next(rows(), None) is None:
        _, reason = next(journal.bad(tasks))
        raise InputError(
            f"--clips {settings.clips}: none of {len(tasks)} clips could be scored; the"
            f" first: {reason}"
        )
    about: dict[str, Any] = {
        "clips_from": settings.clips,
        "scoring": _score_inputs(settings),
    }
    return write_scores(
        rows,
        settings.out,
        settings.classification(),
        f"--clips {settings.clips}",
        about,
    )
