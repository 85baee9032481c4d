"""Train a video diffusion model with a timestep distribution per clip.

python -m tqd_probe.train --ckpt CKPT --clips CLIPS --sampler bands
    --schedule bands.json --steps 2000 --out DIR
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.training.settings import TrainRunSettings

PROGRAM = "python -m tqd_probe.train"


class TrainOptions(TrainRunSettings, Options):  # type: ignore[misc]
    """Train a video diffusion model with a timestep distribution per clip.

    Imbalanced clips are trained at the noise levels where they help: by the paper's
    formula of motion and visual quality (beta), or by a measured schedule (bands,
    mixture). Writes checkpoints that resume exactly, the weights in diffusers' format
    (result/), the density of levels (density.png, before step one), metrics.jsonl and
    curves. Several GPUs: accelerate launch -m tqd_probe.train ... Try it:
    --ckpt tiny --clips synthetic:64 --steps 100 --out runs/first
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: 0, 2 after a one-line error, 130 or 143 when stopped by a signal.
    """
    with main_guard() as outcome:
        settings = parse(TrainOptions, argv, PROGRAM)
        # Loading torch and diffusers takes seconds: only for valid options.
        from tqd_probe.core.library_logging import silence_libraries

        silence_libraries()  # first: libraries speak while they are imported
        from tqd_probe.training.train import train

        result = train(settings)
        if result.stopped_by:
            outcome.code = 128 + result.stopped_by
        if not result.main:
            return outcome.code
        print(result.says)
        for path in (result.result, *result.files):
            print(path)
        if result.stopped_by:
            print(
                f"stopped at step {result.step} by a signal; go on with --resume",
                file=sys.stderr,
            )
    return outcome.code


class _Callable(ModuleType):
    """Lets ``from tqd_probe import train`` be the function and the command at once."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Train (`tqd_probe.training.train.train`)."""
        from tqd_probe.training.train import train

        return train(*args, **options)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    sys.exit(main())
