"""Draw the pictures of a finished run again: `python -m tqd_probe.plot RUN_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from pydantic_settings import CliPositionalArg

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
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


def read_result(path: Path) -> dict[str, Any]:
    """Read ``gradsim.json``.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: If the file is missing or not a result of this version.
    """
    from tqd_probe.probing.measure import FORMAT  # loads torch and diffusers

    result = read_json(path, "a gradsim result")
    known = isinstance(result, dict) and result.get("format") == FORMAT
    if not known or result.get("version") != 1:
        raise InputError(
            f"{path}: not a {FORMAT} file of version 1; make it with tqd_probe.gradsim"
        )
    return result


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
    from tqd_probe.plots.probe_figures import (
        draw_all,  # matplotlib takes a second to load
    )

    result = read_result(run_dir / "gradsim.json")
    schedule = BandSchedule.load(run_dir / "bands.json")
    same = result.get("model") == schedule.model.model_dump(mode="json")
    levels = result.get("noise", {}).get("levels") == schedule.noise.levels
    if not (same and levels):
        raise InputError(
            f"{run_dir / 'bands.json'}: model or noise.levels differ from those of"
            " gradsim.json; both must be of one run"
        )
    try:
        return draw_all(result, schedule, run_dir / "figures")
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise InputError(
            f"{run_dir / 'gradsim.json'}: does not fit bands.json or is damaged"
            f" ({type(error).__name__}: {error}); run gradsim again"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
