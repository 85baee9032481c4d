"""What a training returns, and what it leaves in its run directory at the end."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from tqd_probe.core.files import staged_folder
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.plots.save import write_figure
from tqd_probe.plots.training_figures import validation_figure
from tqd_probe.training.trainer import Trainer

log = logging.getLogger("tqd_probe")


@dataclass
class TrainResult:
    """How a training ended.

    Attributes:
        step: Steps done.
        stopped_by: Number of the signal that ended it early, or 0.
        weights: Folder of the trained weights in diffusers' format; the newest
            checkpoint's where the training was stopped.
        files: The other files to look at, all of which exist.
        summary: A few lines on speed and validation.
        is_main_process: Whether this process reports for all.
    """

    step: int
    stopped_by: int
    weights: Path
    files: list[Path]
    summary: str
    is_main_process: bool = True


def finish_training(trainer: Trainer, figures: bool) -> TrainResult:
    """Publish the weights of a finished training and describe how it ended.

    Args:
        trainer: The trainer, after its run.
        figures: Draw the validation.

    Returns:
        The result.

    Raises:
        InputError: If the weights cannot be written.
    """
    out, steps = trainer.settings.out, trainer.settings.steps
    newest, _ = trainer.store.latest()
    assert newest is not None  # the run has just saved
    weights = newest.folder / "weights"
    main = trainer.accelerator.is_main_process
    if main:
        log.info("ended at step %d", trainer.step)
    if main and trainer.step >= steps:
        weights = publish_weights(weights, out / "result")
        rows = read_jsonl(out / "validation.jsonl")
        if rows and figures:
            write_figure(validation_figure(rows), out / "validation.png")
    names = ("density.png", "metrics.jsonl", "validation.png")
    return TrainResult(
        step=trainer.step,
        stopped_by=trainer.stopped_by,
        weights=weights,
        files=[out / name for name in names if (out / name).exists()],
        summary=summarise_run(out, trainer.step, steps),
        is_main_process=main,
    )


def publish_weights(weights: Path, place: Path) -> Path:
    """Copy a checkpoint's weights to the result folder, atomically.

    Args:
        weights: Folder inside a checkpoint.
        place: The result folder; replaced if it exists.

    Returns:
        The result folder.

    Raises:
        InputError: If it cannot be written.
    """
    cure = f"free the disk; the weights are in {weights}"
    with staged_folder(place, replace=True, cure=cure) as part:
        shutil.copytree(weights, part, dirs_exist_ok=True)
    return place


def summarise_run(out: Path, step: int, steps: int) -> str:
    """Summarise a training: steps, speed, and the last validation by class.

    Args:
        out: The run directory.
        step: Steps done.
        steps: Steps wanted.

    Returns:
        The text.
    """
    lines = [f"step {step} of {steps}"]
    timing = read_jsonl(out / "timing.jsonl")
    if timing:
        last = timing[-1]
        lines[0] += (
            f"; {last['clips_per_second']:.1f} clips per second, data wait"
            f" {100 * last['data_wait_share']:.1f} %, {last['memory_gb']:.1f} GB"
        )
    rows = read_jsonl(out / "validation.jsonl")
    if rows:
        lines.append(
            f"{'held out':<18}{'clips':>6}{'loss':>9}{'change':>9}  95 % interval"
        )
        for name, one in rows[-1]["classes"].items():
            ends = one["change_ci"]
            shown = f"[{ends[0]:+.4f}, {ends[1]:+.4f}]" if ends else "one clip"
            lines.append(
                f"{name:<18}{one['clips']:>6}{one['loss']:>9.4f}{one['change']:>+9.4f}"
                f"  {shown}"
            )
    return "\n".join(lines)
