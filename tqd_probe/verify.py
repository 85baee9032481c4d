"""Does a schedule help here? Short paired trials on your model and your clips.

python -m tqd_probe.verify --ckpt CKPT --clips CLIPS --golden CLIPS
    --samplers uniform,bands=bands.json --steps 200 --seeds 5 --out DIR
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.verification.settings import TrialRunSettings

PROGRAM = "python -m tqd_probe.verify"


class VerifyOptions(TrialRunSettings, Options):  # type: ignore[misc]
    """Compare samplers and schedules by short paired trials on your model and clips.

    Every sampler trains from the checkpoint with the same seeds, clips and noise, and
    is judged on held-out golden clips at the same levels with the same noise. Stops
    when the ranking is clear. Writes verify.md (one page), verify.png and verify.json;
    the same command resumes. Before the long run is paid for.
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: 0, 2 after a one-line error, 130 or 143 when stopped by a signal.
    """
    with main_guard() as outcome:
        settings = parse(VerifyOptions, argv, PROGRAM)
        # Loading torch and diffusers takes seconds: only for valid options.
        from tqd_probe.core.library_logging import silence_libraries

        silence_libraries()  # first: libraries speak while they are imported
        from tqd_probe.verification.report import page
        from tqd_probe.verification.trials import Stopped, verify

        try:
            result = verify(settings)
        except Stopped as stopped:
            outcome.code = 128 + stopped.number
            print("stopped; the same command goes on", file=sys.stderr)
            return outcome.code
        print(page(result))
        for name in ("verify.md", "verify.png", "verify.json"):
            print(settings.out / name)
    return outcome.code


class _Callable(ModuleType):
    """Lets ``from tqd_probe import verify`` be the function and the command at once."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run trials (`tqd_probe.verification.trials.verify`)."""
        from tqd_probe.verification.trials import verify

        return verify(*args, **options)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    sys.exit(main())
