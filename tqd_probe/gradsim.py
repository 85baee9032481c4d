"""Measure gradient similarity over noise levels and derive a band schedule.

python -m tqd_probe.gradsim --ckpt CKPT --clips CLIPS --out DIR
"""

from __future__ import annotations

import sys
from typing import ClassVar

from tqd_probe.clips.degradations import describe_degradations
from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.processes import disconnect, is_main_process
from tqd_probe.core.signals import loading
from tqd_probe.probing.settings import ProbeRunSettings

PROGRAM = "python -m tqd_probe.gradsim"


class GradsimOptions(ProbeRunSettings, Options):  # type: ignore[misc]
    """Measure gradient similarity over noise levels and derive a band schedule.

    On your own checkpoint and at each noise level, the gradients of degraded clips are
    compared with those of golden clips, which are good in motion and in picture. The
    bands of a class are the levels at which its clips teach what golden clips teach.

    The same command resumes a run that was stopped. Several GPUs share the draws:
    accelerate launch -m tqd_probe.gradsim ...
    """

    writes: ClassVar[dict[str, str]] = {
        "bands.json": "the band schedule, for train, verify and other trainers",
        "gradsim.json": "all curves with their intervals, by group of layers",
        "clips.csv": "how useful each clip is at each level",
        "figures/": "heatmap, curves, bands",
        "run.toml": "the options given; --config replays them",
        "run.json, log.txt": "the configuration, and what happened",
        "gradients/": "gradients measured so far, from which a run resumes",
    }
    example: ClassVar[str] = "--ckpt tiny"
    appendix: ClassVar[str] = (
        "degradations, with their amounts at severities 1 to 5:\n"
        + describe_degradations()
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
        settings = parse(GradsimOptions, argv, program)
        outcome.resumes = False if settings.plan else lambda: _has_begun(settings)
        # Loading torch and diffusers takes seconds: only for valid options.
        with loading():
            from tqd_probe.core.library_logging import silence_libraries

            silence_libraries()  # first: libraries print while they are imported
        run(settings)
        disconnect()
    return outcome.code


def _has_begun(settings: ProbeRunSettings) -> bool:
    """Return whether a run directory of the probe is there."""
    if "tqd_probe.probing.run_directory" not in sys.modules:  # stopped while loading
        return False
    from tqd_probe.core.run_directory import DESCRIPTION_FILE
    from tqd_probe.probing.experts import settings_per_expert
    from tqd_probe.probing.run_directory import run_directory

    folders = [run_directory(one) for one in settings_per_expert(settings).values()]
    return any((folder / DESCRIPTION_FILE).exists() for folder in folders)


def run(settings: ProbeRunSettings) -> None:
    """Probe, and print what was found and where it is; only in the main process.

    Args:
        settings: The settings.
    """
    with loading():
        from tqd_probe import api
        from tqd_probe.probing.experts import settings_per_expert
        from tqd_probe.probing.run_directory import run_directory
        from tqd_probe.probing.summary import summary_table
        from tqd_probe.probing.wall_time import plain_seconds

    def tell(text: object) -> None:
        if is_main_process():
            print(text, flush=True)

    if settings.plan:
        tell(api.plan_table(settings))
        return
    written = {}
    for expert, one in settings_per_expert(settings).items():
        if settings.expert == "both":
            tell(f"expert for {expert} noise:")
        written[expert] = api.write_probe(one)
        found, run_folder = written[expert], run_directory(one)
        seconds = plain_seconds(run_folder)
        tell(summary_table(found.result, found.schedule, str(run_folder), seconds))
        for path in written[expert].files:
            tell(path)
    if (figure := api.draw_both_experts(settings, written)) is not None:
        tell(figure)


if __name__ == "__main__":
    sys.exit(main())
