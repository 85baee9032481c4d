"""Seconds of a whole run by part: predicted from small trials, and achieved.

Parts: ``encoding`` (loading, drawing, degrading and encoding clips) and ``checks`` are
done when the others are predicted; ``capture``, slowed by the
reduction of a level while the next is captured; ``reducing``, as far as capturing does
not hide it: of the last level, and products between levels;
``results`` (curves, intervals, schedule); ``figures``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tqd_probe.core.files import read_json, write_json
from tqd_probe.gradients.gram import BLOCK, LevelGram, gram_from_columns
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.workspace import Workspace
from tqd_probe.statistics.similarity import LevelStatistics

COST_FILE = "cost.json"
TRIALS = 2  # of everything that is timed: the first warms up
PARTS = ("encoding", "checks", "capture", "reducing", "results", "figures")
FIGURES = 4.0  # seconds: importing the plotting library and drawing five pictures
OTHER_RESULTS = 0.3  # of the time of comparisons: golden curves, schedule, files


def predicted_parts(
    workspace: Workspace,
    capture: float,
    levels: int,
    run_pass: Callable[[], object],
    alone: float,
) -> dict[str, float]:
    """Predict the parts of a run that are to come, with trials of a second.

    Args:
        workspace: The probe.
        capture: Predicted seconds of capture where nothing else runs.
        levels: Levels that are not finished.
        run_pass: Runs a capturing pass.
        alone: Its seconds where nothing else runs.

    Returns:
        Seconds by part; those of parts that are done as they were.
    """
    reduce_block, blocks = _block_reduction(workspace)
    each = blocks * _shortest(reduce_block) + _vectors_seconds(workspace)
    last = each + _moments_seconds(workspace)
    before = (levels - 1) * each  # while levels are captured
    slower = max(1.0, _seconds_beside(run_pass, reduce_block) / alone)
    overlapping = min(1.0, before * slower / capture) if capture else 0.0
    capture *= 1 + overlapping * (slower - 1)
    parts = workspace.seconds | {
        "capture": capture,
        "reducing": max(0.0, before * slower - capture) + last,
        "results": _results_seconds(workspace),
        "figures": FIGURES,
    }
    return {name: parts.get(name, 0.0) for name in PARTS}


def described(parts: dict[str, float]) -> str:
    """Put a prediction into words.

    Args:
        parts: Seconds by part.

    Returns:
        The total and its parts.
    """
    listed = ", ".join(f"{name} {parts[name]:.0f}" for name in PARTS)
    return f"about {sum(parts.values()):.0f} s for the whole run: {listed}"


def add_achieved(out: Path, part: str, seconds: float) -> None:
    """Add a part to what the last run in a directory took, unless it is known.

    Args:
        out: The run directory.
        part: Name of the part.
        seconds: Its seconds.
    """
    path = out / COST_FILE
    value: Any = read_json(path, "the cost of the run") if path.exists() else {}
    parts = value.get("achieved", {}).get("parts") if isinstance(value, dict) else None
    if isinstance(parts, dict) and part not in parts:
        parts[part] = seconds
        write_json(path, value)


def plain_seconds(out: Path) -> float | None:
    """Return the seconds of a plain pass per clip, as a run measured them.

    Args:
        out: The run directory.

    Returns:
        Seconds; None where none were measured.
    """
    path = out / COST_FILE
    value: Any = read_json(path, "the cost of the run") if path.exists() else {}
    found = value.get("predicted", {}) if isinstance(value, dict) else {}
    seconds = found.get("plain_seconds_per_clip_gradient")
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _block_reduction(workspace: Workspace) -> tuple[Callable[[], object], float]:
    """Return what reduces a block of a level's columns, and how many a level has."""
    clips, versions = len(workspace.encoded.ids), len(workspace.encoded.versions)
    losses = np.zeros((clips, workspace.settings.draws, versions))
    size = workspace.sketch.size if workspace.sketched else workspace.layout.size
    width = min(size, max(1, BLOCK // losses.size))
    rows = np.ones((clips, versions, workspace.settings.draws, width), np.float32)
    block, groups = rows.swapaxes(0, 1), {"all": (0, width)}
    return lambda: gram_from_columns(lambda a, b: block, groups, losses), size / width


def _vectors_seconds(workspace: Workspace) -> float:
    """Time the sketches that a level of whole gradients gets."""
    if workspace.sketched:
        return 0.0
    rows = torch.ones(len(workspace.classes), workspace.layout.size)
    each = _shortest(lambda: workspace.sketch.of_flat(rows))
    return len(workspace.clip_ids) * each


def _seconds_beside(
    run_pass: Callable[[], object], other: Callable[[], object]
) -> float:
    """Return the seconds of a pass while a thread does something else."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            other()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        return _shortest(run_pass)
    finally:
        done.set()
        thread.join()


def _moments_seconds(workspace: Workspace) -> float:
    """Time the products between levels on one clip."""
    count = len(workspace.sigmas) * (
        len(workspace.classes) + len(workspace.unpaired_rows)
    )
    rows = np.ones((count, workspace.sketch.size))
    return 2 * len(workspace.clip_ids) * _shortest(lambda: rows @ rows[::-1].T)


def _results_seconds(workspace: Workspace) -> float:
    """Time a comparison on made-up products."""
    clips, versions = len(workspace.encoded.ids), 2
    rows = np.random.default_rng(0).normal(1, 0.1, (versions * clips, 8))
    gram = LevelGram(
        groups=("all",),
        products=(rows @ rows.T).reshape(1, versions, clips, versions, clips),
        draws=np.ones((1, versions, clips, 1, 1)),
        losses=np.ones((clips, 1, versions)),
    )
    confidence = workspace.settings.level_confidence()
    each = _shortest(
        lambda: LevelStatistics(gram, 0, confidence=confidence).compare([1])
    )
    compared = len(paired_comparisons(workspace.degradations))
    compared += len(workspace.unpaired_rows)
    groups = 1 + len(workspace.layout.groups)
    return (1 + OTHER_RESULTS) * len(workspace.sigmas) * groups * compared * each


def _shortest(action: Callable[[], object]) -> float:
    """Return the least seconds of an action: the first is warming up."""
    return min(_timed(action) for _ in range(TRIALS))


def _timed(action: Callable[[], object]) -> float:
    """Return the seconds an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
