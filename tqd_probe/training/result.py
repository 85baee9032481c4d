"""What a finished training leaves and says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tqd_probe.core.errors import InputError
from tqd_probe.core.jsonl import read_jsonl


def publish(weights: Path, place: Path) -> Path:
    """Copy a checkpoint's weights to the place of results, whole.

    Args:
        weights: Folder inside a checkpoint.
        place: Where results go; replaced when it is there.

    Returns:
        The place.

    Raises:
        InputError: If it cannot be written.
    """
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        shutil.copytree(weights, part)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(part, place)
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written ({error.strerror or error}); the weights are"
            f" in {weights}"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def summary(out: Path, step: int, steps: int) -> str:
    """Say in a few lines how a training went.

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
