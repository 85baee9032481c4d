"""A tiny CogVideoX, hardly trained."""

import functools
import json
import sys
from copy import deepcopy

import pytest

# The last stage alone finds all of a pipeline: only it computes the results.
STAGES = (("transformer", 1), ("decoder", 2), ("transformer", 2))


def train(folder):
    """Train two steps of each stage; the transformer is stopped and resumed between."""
    from analyses.tiny import train_cogvideox as script

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "FIT_CLIPS", 4)
        patch.setattr(script, "BATCH", 4)
        # What each call of the script computes alike is computed once.
        fitted = functools.cache(script.fitted_vae)
        patch.setattr(script, "fitted_vae", lambda: deepcopy(fitted()))
        patch.setattr(script, "new_tokenizer", functools.cache(script.new_tokenizer))
        linear = functools.cache(lambda clips: linear_reconstruction(fitted(), clips))
        linear_reconstruction = script.linear_reconstruction
        patch.setattr(script, "linear_reconstruction", lambda _, clips: linear(clips))
        for stage, steps in STAGES:
            options = {
                "--work": folder / "work",
                "--out": folder / "pipeline",
                "--stage": stage,
                "--clips": 8,
                "--held-out": 1,
                "--steps": steps if stage == "transformer" else 2,
                "--decoder-steps": steps,
                "--results": folder / "results.json",
            }
            words = [str(part) for pair in options.items() for part in pair]
            patch.setattr(sys, "argv", ["train_cogvideox.py", *words])
            script.main()


@pytest.fixture(scope="session")
def trained(built_once):
    """Working folder, pipeline and results of the training; do not change them."""
    folder = built_once.get("trained-cogvideox", train)
    results = json.loads((folder / "results.json").read_text())
    return folder / "work", folder / "pipeline", results
