"""Measure gradient similarity over noise levels and derive a band schedule.

python -m tqd_probe.gradsim --ckpt CKPT --clips CLIPS --out DIR
"""

from __future__ import annotations

import logging
import sys
from typing import ClassVar

from tqd_probe.clips.degradations import describe
from tqd_probe.core.command_line import Options, Outcome, main_guard, parse
from tqd_probe.core.files import write_json
from tqd_probe.core.processes import disconnect, is_main_process
from tqd_probe.core.run_directory import add_log_file, remove_log_file
from tqd_probe.probing.settings import RunSettings

PROGRAM = "python -m tqd_probe.gradsim"
log = logging.getLogger("tqd_probe")


class GradsimOptions(RunSettings, Options):  # type: ignore[misc]
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
        "run.json, log.txt": "the configuration, and what happened",
        "gradients/": "gradients measured so far, from which a run resumes",
    }
    example: ClassVar[str] = "--ckpt tiny"
    appendix: ClassVar[str] = (
        f"degradations, with their amounts at severities 1 to 5:\n{describe()}"
    )


def recorded(arguments: list[str]) -> list[str]:
    """Drop options that say where a run is kept: they must not change its bytes.

    Args:
        arguments: The command's arguments.

    Returns:
        The arguments for the provenance.
    """
    kept: list[str] = []
    skip = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if skip:
            skip = False
        elif name in ("--out", "--cache"):
            skip = not equals
        elif argument != "--overwrite":
            kept.append(argument)
    return kept


def main(argv: list[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process by default.
        program: How the command was called, for help and errors.

    Returns:
        Exit code: 0, 2 after a one-line error, 130 or 143 when stopped by a signal.
    """
    code = run_once(sys.argv[1:] if argv is None else argv, program)
    if code == 0:
        disconnect()
    return code


def run_once(argv: list[str], program: str = PROGRAM) -> int:
    """Run the command line; processes stay connected, for another run.

    Args:
        argv: Arguments.
        program: How the command was called.

    Returns:
        Exit code: 0, or 2 after a one-line error.
    """
    handler, probe = None, None
    outcome = Outcome()
    try:
        with main_guard() as outcome:
            settings = parse(GradsimOptions, argv, program)
            outcome.resumes = not settings.plan
            # Loading torch and diffusers takes seconds: only for valid options.
            from tqd_probe.core.library_logging import silence_libraries

            silence_libraries()  # first: libraries speak while they are imported
            from tqd_probe.plots.probe_figures import draw_all
            from tqd_probe.probing.clip_usefulness import write_usefulness
            from tqd_probe.probing.experts import probe_both
            from tqd_probe.probing.measure import (
                check_mixture,
                derive_schedule,
                measure,
            )
            from tqd_probe.probing.passes import run
            from tqd_probe.probing.plan import plan
            from tqd_probe.probing.prepare import prepare
            from tqd_probe.probing.self_check import self_check
            from tqd_probe.probing.summary import summary

            if settings.expert == "both":
                outcome.code = probe_both(run_once, settings, argv)
                return outcome.code
            if settings.plan:
                text = plan(settings)
                if is_main_process():
                    print(text)
                return outcome.code
            probe = prepare(settings)
            check_mixture(probe)
            first = probe.processes.is_main
            handler = add_log_file(probe.out) if first else None
            log.info("%s %s", PROGRAM, " ".join(argv))
            for clip, reason in probe.encoded.quarantine.items():
                log.warning("quarantine: %s: %s", clip, reason)
            if settings.self_check and first:
                found = self_check(probe)
                line = (
                    f"self-check passed: engine within {found['relative_error']:.1e} of"
                    f" torch.func, forward mode within {found['jvp_error']:.1e},"
                    " finite differences within"
                    f" {found['finite_difference_error']:.1e}; a clip alone and in a"
                    f" batch within {found['batch_error']:.1e}, twice the same bits"
                )
                log.info(line)
                print(line, file=sys.stderr)
            run(probe)
            if not first:  # the first process has all that the others captured
                return outcome.code
            result = measure(probe, ["gradsim", *recorded(argv)])
            schedule = derive_schedule(result)
            write_json(probe.out / "gradsim.json", result)
            schedule.save(probe.out / "bands.json")
            table = probe.out / "clips.csv"
            write_usefulness(table, probe)
            paths = draw_all(result, schedule, probe.out / "figures")
            print(summary(result, schedule))
            for path in (
                probe.out / "bands.json",
                probe.out / "gradsim.json",
                table,
                *paths,
            ):
                print(path)
            log.info("done")
    finally:
        if probe is not None:
            probe.store.release()
        if handler is not None:
            remove_log_file(handler)
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
