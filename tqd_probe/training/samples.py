"""What a training generates as samples: prompts, and first frames."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import refuse_other_kinds
from tqd_probe.core.structured_text import FORMATS
from tqd_probe.core.text_files import read_text
from tqd_probe.models.base import VideoModel
from tqd_probe.training.encoded_clips import CachedClips

DEFAULT_PROMPTS = 4  # captions taken where no prompts are given
NOT_LINES = (*FORMATS, ".jsonl", ".csv", ".tsv")  # whose lines are no prompts
ONE_A_LINE = "give a text file with one prompt a line"


def choose_prompts(
    prompts: Path | None, model: VideoModel, clips: CachedClips
) -> tuple[list[str], np.ndarray | None]:
    """Choose the prompts of sample videos, and the frames that they start from.

    Args:
        prompts: File of prompts; without one, captions of four clips are used.
        model: The model.
        clips: Clips that give captions and first frames, held-out ones where there
            are some.

    Returns:
        The prompts; and for image-to-video the first frames of the clips they
        describe, uint8 RGB ``[N, H, W, 3]``.

    Raises:
        InputError: If the prompts cannot be used (`check_prompts`).
    """
    if prompts is not None:
        return check_prompts(prompts, model), None
    by_caption = {each.clip.caption: each.clip for each in reversed(clips.clips)}
    captions = list(dict.fromkeys(each.clip.caption for each in clips.clips))
    stride = max(1, math.floor(len(captions) / DEFAULT_PROMPTS))
    chosen = captions[::stride][:DEFAULT_PROMPTS]
    if not model.takes_images:
        return chosen, None
    videos = [by_caption[caption].read(clips.encoder.shape) for caption in chosen]
    return chosen, np.stack([video[0] for video in videos])


def check_prompts(path: Path, model: VideoModel) -> list[str]:
    """Read the prompts that a model is to be given.

    Args:
        path: A text file.
        model: The model.

    Returns:
        The prompts.

    Raises:
        InputError: If the file is at fault, or the model is image-to-video.
    """
    if model.takes_images:
        raise InputError(
            f"--prompts {path}: image-to-video starts from a frame; leave it out,"
            " samples then start from held-out clips"
        )
    return read_prompts(path)


def read_prompts(path: Path) -> list[str]:
    """Read prompts, one a line.

    Args:
        path: A text file.

    Returns:
        The prompts.

    Raises:
        InputError: If the file is missing, unreadable, empty, or one whose lines are
            no prompts.
    """
    refuse_other_kinds(path, {"empty"}, lambda kind: ONE_A_LINE)
    if path.suffix.lower() in NOT_LINES:
        raise InputError(
            f"--prompts {path}: each line of it would be a prompt; {ONE_A_LINE} (.txt)"
        )
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise InputError(
            f"--prompts {path}: cannot be read ({error.strerror}); give a text file"
        ) from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise InputError(f"--prompts {path}: is empty; write one prompt a line")
    return prompts
