"""A tiny CogVideoX, hardly trained."""

import json
import sys

import pytest


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Pipeline and working folder of two stopped and resumed steps."""
    from analyses.tiny import train_cogvideox as script

    folder = tmp_path_factory.mktemp("cogvideox")
    work, out = folder / "work", folder / "pipeline"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "FIT_CLIPS", 8)
        for stage, steps in (
            ("transformer", 1),
            ("transformer", 2),
            ("decoder", 1),
            ("decoder", 2),
        ):
            options = {
                "--work": work,
                "--out": out,
                "--stage": stage,
                "--clips": 8,
                "--held-out": 2,
                "--steps": steps if stage == "transformer" else 2,
                "--decoder-steps": steps,
                "--results": folder / "results.json",
            }
            words = [str(part) for pair in options.items() for part in pair]
            patch.setattr(sys, "argv", ["train_cogvideox.py", *words])
            script.main()
    return work, out, json.loads((folder / "results.json").read_text())
