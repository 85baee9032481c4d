"""Train a video diffusion model with a timestep distribution per clip.

python -m tqd_probe.train --ckpt CKPT --clips CLIPS --sampler bands
    --schedule bands.json --steps 2000 --out DIR
"""

from __future__ import annotations

import sys
from typing import ClassVar

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.signals import loading
from tqd_probe.training.settings import TrainRunSettings

PROGRAM = "python -m tqd_probe.train"


class TrainOptions(TrainRunSettings, Options):  # type: ignore[misc]
    """Train a video diffusion model with a timestep distribution per clip.

    Imbalanced clips are trained at the noise levels where they help: by the paper's
    formula of motion and visual quality (--sampler beta), or by a measured schedule
    (--sampler bands, mixture; --base measured: on measured levels, too). The density
    of levels is drawn before the first step.

    Several GPUs share the batch: accelerate launch -m tqd_probe.train ...
    """

    writes: ClassVar[dict[str, str]] = {
        "result/": "the trained weights in diffusers' format",
        "checkpoints/": "states from which a training resumes exactly",
        "density.png, .json": "noise levels by class, before the first step",
        "metrics.jsonl, logs/": "losses by step, noise level and class; curves",
        "validation.jsonl, .png": "losses of validation clips, where asked for",
        "samples/": "sample videos, where asked for",
        "run.toml": "the options given; --config replays them",
        "run.json, log.txt": "the configuration, and what happened",
    }
    example: ClassVar[str] = (
        "--ckpt tiny --clips synthetic:64 --steps 100 --out runs/first"
    )


def main(argv: list[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process by default.
        program: How the command was called, for help and errors.

    Returns:
        Exit code: 0, 2 after a one-line error, 130 or 143 when stopped by a signal.
    """
    with main_guard() as outcome:
        settings = parse(TrainOptions, argv, program)
        checkpoints = settings.out / "checkpoints"
        outcome.resumes = lambda: any(checkpoints.glob("step-*/manifest.json"))
        # Loading torch and diffusers takes seconds: only for valid options.
        with loading():
            from tqd_probe.core.library_logging import silence_libraries

            silence_libraries()  # first: libraries print while they are imported
            from tqd_probe.training.train import train

        result = train(settings)
        if result.stopped_by:
            outcome.code = 128 + result.stopped_by
        if not result.is_main_process:
            return outcome.code
        print(result.summary)
        for path in (result.weights, *result.files):
            print(path)
        if result.stopped_by:
            print(
                f"stopped at step {result.step} by a signal; the same command resumes",
                file=sys.stderr,
            )
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
