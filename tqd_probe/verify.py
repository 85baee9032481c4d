"""Does a schedule help here? Short paired trials on your model and your clips.

python -m tqd_probe.verify --ckpt CKPT --clips CLIPS --golden CLIPS
    --samplers uniform,bands=bands.json --steps 200 --seeds 5 --out DIR
"""

from __future__ import annotations

import sys
from typing import ClassVar

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.signals import loading
from tqd_probe.verification.settings import VerificationRunSettings

PROGRAM = "python -m tqd_probe.verify"


class VerifyOptions(VerificationRunSettings, Options):  # type: ignore[misc]
    """Compare samplers and schedules by short paired trials on your model and clips.

    Every sampler trains from the checkpoint with the same seeds, clips and noise, and
    is judged on held-out golden clips, at the same levels with the same noise. Ends
    early when the ranking is clear. Run it before you pay for the long training.

    The same command resumes a run that was stopped.
    """

    writes: ClassVar[dict[str, str]] = {
        "verify.md": "the comparison on one page, also printed",
        "verify.png": "differences from the baseline, overall and by noise level",
        "verify.json": "all numbers with their intervals",
        "trials/": "a small file per finished trial, from which a run resumes",
        "run.toml": "the options given; --config replays them",
        "run.json, log.txt": "the configuration, and what happened",
    }
    example: ClassVar[str] = (
        "--ckpt tiny --clips synthetic:64 --golden synthetic:24"
        " --samplers uniform,logit_normal --steps 60 --out runs/verify"
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
        settings = parse(VerifyOptions, argv, program)
        outcome.resumes = lambda: any((settings.out / "trials").glob("*"))
        # Loading torch and diffusers takes seconds: only for valid options.
        with loading():
            from tqd_probe.core.library_logging import silence_libraries

            silence_libraries()  # first: libraries speak while they are imported
            from tqd_probe.verification.report import format_report
            from tqd_probe.verification.trials import StoppedBySignal
            from tqd_probe.verification.verify import verify

        try:
            result = verify(settings)
        except StoppedBySignal as stopped:
            outcome.code = 128 + stopped.number
            print("stopped by a signal; the same command resumes", file=sys.stderr)
            return outcome.code
        print(format_report(result))
        for name in ("verify.md", "verify.png", "verify.json"):
            print(settings.out / name)
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
