"""Step files of a training: where they are, and the pipeline of one training step."""

from __future__ import annotations

import shutil
from pathlib import Path

import diffusers
import torch
import transformers

from analyses.tiny.parts import HEADS
from tqd_probe.core.files import read_json
from tqd_probe.models.load import checkpoint_path


def step_file(work: Path, step: int, heads: int = HEADS) -> Path:
    """Return where the weights of a step are, of a transformer of so many heads."""
    return work / f"{prefix(heads)}step-{step:05d}.pt"


def prefix(heads: int) -> str:
    """Return what names of files of another width than `tiny`'s begin with."""
    return "" if heads == HEADS else f"heads{heads}-"


def pipeline_at_step(source: str, state: Path, target: Path) -> Path:
    """Put the weights of one training step into a copy of a pipeline.

    Args:
        source: The pipeline that lends the other components and the classes.
        state: What `train.py`, or `train_cogvideox.py`, wrote at that step.
        target: Pipeline directory to write.

    Returns:
        The target.
    """
    shutil.copytree(checkpoint_path(source), target, dirs_exist_ok=True)
    weights = torch.load(state, weights_only=True)
    index = read_json(target / "model_index.json", "a pipeline's index")
    for name, library, key in (
        ("transformer", diffusers, "model"),
        ("text_encoder", transformers, "encoder"),
    ):
        module = getattr(library, index[name][1]).from_pretrained(target / name)
        module.load_state_dict(weights[key])
        module.save_pretrained(target / name)
    return target
