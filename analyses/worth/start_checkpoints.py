"""The checkpoints that studies of training start from.

    tiny      the shipped checkpoint
    half      `tiny` at an earlier step of its training: a step file of `train.py`
    scratch   `tiny` with a transformer that knows nothing (seeded); its text encoder
              and autoencoder are the trained ones
    wide      the same with a transformer one and a half times as wide
    wide-half the wide one, trained as far as `half`: a step file of `--stage wide`
    large     18 million parameters, untrained
    large-half
              the large one, trained as far as `half`: a step file of `--stage large`
    cogvideox-half
              the tiny CogVideoX, trained as far: what `train_cogvideox.py` writes

A name that is none of these is taken as a checkpoint.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from analyses.tiny.parts import HEADS, LARGE_HEADS, WIDE_HEADS, new_transformer
from analyses.tiny.step_files import pipeline_at_step, step_file
from tqd_probe.core.errors import InputError
from tqd_probe.models.load import checkpoint_path

HALF_STEP = 1000  # of 3,500
COGVIDEOX = "cogvideox-half"
UNTRAINED = {"scratch": HEADS, "wide": WIDE_HEADS, "large": LARGE_HEADS}
TRAINED = {  # stage of train.py, and what it trains
    "half": ("transformer", "tiny", HEADS),
    "wide-half": (f"wide --steps {HALF_STEP}", "wide", WIDE_HEADS),
    "large-half": (f"large --steps {HALF_STEP}", "large", LARGE_HEADS),
}


def start_checkpoint(name: str, work: Path, trained: Path | None, seed: int = 0) -> str:
    """Return a checkpoint to train from, made if it is not there yet.

    Args:
        name: ``tiny``, ``half``, ``scratch``, ``wide``, ``wide-half``, ``large``,
            ``large-half``, ``cogvideox-half`` or a checkpoint.
        work: Folder for pipelines that are made.
        trained: Working folder of `train.py`, for ``half`` and its like.
        seed: Seed of the weights of untrained ones.

    Returns:
        A checkpoint for ``--ckpt``.

    Raises:
        InputError: If the step file is missing.
    """
    if name == COGVIDEOX:
        return str(_half_cogvideox(trained))
    if name not in (*TRAINED, *UNTRAINED):
        return name
    target = work / f"start-{name}"
    if (target / "complete").exists():
        return str(target)
    if name in TRAINED:
        stage, source, heads = TRAINED[name]
        state = step_file(trained or Path(), HALF_STEP, heads)
        if trained is None or not state.is_file():
            raise InputError(
                f"--trained {trained}: holds no {state.name}; make it with python -m"
                f" analyses.tiny.train --work DIR --stage {stage}"
            )
        lender = start_checkpoint(source, work, None, seed)
        pipeline_at_step(lender, state, target)
    else:
        shutil.copytree(checkpoint_path("tiny"), target, dirs_exist_ok=True)
        torch.manual_seed(seed)
        new_transformer(UNTRAINED[name]).save_pretrained(target / "transformer")
    (target / "complete").touch()
    return str(target)


def _half_cogvideox(trained: Path | None) -> Path:
    """Return the pipeline that `train_cogvideox.py` wrote, or say how to make it."""
    place = trained / COGVIDEOX if trained else None
    if place is None or not (place / "model_index.json").is_file():
        raise InputError(
            f"--trained {trained}: holds no {COGVIDEOX}; make it with python -m"
            f" analyses.tiny.train_cogvideox --work DIR --out TRAINED/{COGVIDEOX},"
            f" --stage decoder --decoder-steps 50, then --stage transformer --steps"
            f" {HALF_STEP}"
        )
    return place
