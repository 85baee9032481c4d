"""The checkpoints that studies of training start from.

    tiny      the shipped checkpoint
    half      `tiny` at an earlier step of its training: a step file of `train_tiny.py`
    scratch   `tiny` with a transformer that knows nothing (seeded); its text encoder
              and autoencoder are the trained ones
    wide      the same with a transformer one and a half times as wide

A name that is none of these is taken as a checkpoint.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from maturity import export
from tiny_parts import new_transformer

from tqd_probe.errors import InputError
from tqd_probe.models.load import checkpoint_path

HALF_STEP = 1000  # of 3,500
HEADS = {"scratch": 4, "wide": 6}  # of transformers that know nothing


def start_checkpoint(name: str, work: Path, trained: Path | None, seed: int = 0) -> str:
    """Return a checkpoint to train from, made if it is not there yet.

    Args:
        name: ``tiny``, ``half``, ``scratch``, ``wide`` or a checkpoint.
        work: Folder for pipelines that are made.
        trained: Working folder of `train_tiny.py`, for ``half``.
        seed: Seed of the weights of ``scratch`` and ``wide``.

    Returns:
        A checkpoint for ``--ckpt``.

    Raises:
        InputError: If the step file is missing.
    """
    if name not in ("half", *HEADS):
        return name
    target = work / f"start-{name}"
    if (target / "complete").exists():
        return str(target)
    if name == "half":
        state = Path(trained or "") / f"step-{HALF_STEP:05d}.pt"
        if trained is None or not state.is_file():
            raise InputError(
                f"--trained {trained}: holds no {state.name}; make it with python"
                " analyses/train_tiny.py --work DIR --stage decoder, then --stage"
                " transformer --out DIR/pipeline"
            )
        export("tiny", state, target)
    else:
        shutil.copytree(checkpoint_path("tiny"), target, dirs_exist_ok=True)
        torch.manual_seed(seed)
        new_transformer(HEADS[name]).save_pretrained(target / "transformer")
    (target / "complete").touch()
    return str(target)
