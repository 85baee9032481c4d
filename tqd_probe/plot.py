"""Draw the pictures of a finished run again: `python -m tqd_probe.plot RUN_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import CliPositionalArg

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import beside, refuse_other_kinds
from tqd_probe.core.signals import loading
from tqd_probe.schedules.band_schedule import BandSchedule

PROGRAM = "python -m tqd_probe.plot"


class PlotOptions(Options):
    """Draw the heatmaps and curves of a finished gradsim run again."""

    heading: ClassVar[str] = "arguments"
    writes: ClassVar[dict[str, str]] = {"figures/": "in the run directory"}
    example: ClassVar[str] = "runs/tiny-1a2b3c4d"

    run_dir: CliPositionalArg[Path] = Field(
        description="run directory with gradsim.json and bands.json"
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
        options = parse(PlotOptions, argv, program)
        with loading():
            from tqd_probe.core.library_logging import silence_libraries

            silence_libraries()  # first: libraries speak while they are imported
        for path in redraw(options.run_dir):
            print(path)
    return outcome.code


def redraw(run_dir: Path) -> list[Path]:
    """Draw the figures of a run from its JSON files.

    Args:
        run_dir: The run directory.

    Returns:
        The figures.

    Raises:
        InputError: If a file is missing, damaged, or the two do not fit.
    """
    with loading():  # torch and matplotlib
        from tqd_probe.plots.probe_figures import draw_all
        from tqd_probe.probing.result import ProbeResult

    def cure(kind: str) -> str:
        if kind in ("train folder", "verify folder"):
            return "its figures are in it; give a run directory of gradsim"
        place = beside(run_dir, "gradsim.json")
        return f"give {place.parent}" if place else "give a run directory of gradsim"

    refuse_other_kinds(run_dir, {"gradsim folder", "folder"}, cure)
    if not run_dir.is_dir():
        fault = "is no folder" if run_dir.exists() else "no such folder"
        raise InputError(f"{run_dir}: {fault}; give a run directory of gradsim")
    if not (run_dir / "gradsim.json").exists():
        raise InputError(
            f"{run_dir}: holds no gradsim.json; give a run directory of gradsim that"
            " has ended"
        )
    result = ProbeResult.load(run_dir / "gradsim.json")
    schedule = BandSchedule.load(run_dir / "bands.json")
    entries = {name for name, each in schedule.classes.items() if each.cosine}
    entries |= schedule.degradations_detail.keys()
    if not (
        result.model == schedule.model
        and result.criterion == schedule.criterion
        and result.noise.levels == schedule.noise.levels
        and result.subjects.keys() == entries
    ):
        raise InputError(
            f"{run_dir / 'bands.json'}: model, criterion, noise.levels or classes"
            " differ from those of gradsim.json; both must be of one run"
        )
    return draw_all(result, schedule, run_dir / "figures")


if __name__ == "__main__":
    sys.exit(main())
