"""A band schedule for another trainer: `python -m tqd_probe.export bands.json`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.signals import loading
from tqd_probe.exporting.shape_settings import VideoShapeSettings

PROGRAM = "python -m tqd_probe.export"


class ExportOptions(VideoShapeSettings, Options):
    """Write a trainer's own files that train each class in its bands.

    Takes the configuration you train with, changes it in a new folder, and says which
    levels the trainer will really draw, beside those of the schedule.
    """

    heading: ClassVar[str] = "arguments"
    writes: ClassVar[dict[str, str]] = {
        "OUT/": "configurations, data sets and the script that runs them"
    }
    example: ClassVar[str] = (
        "bands.json --to diffusion-pipe --clips train.csv --config train.toml"
        " --out exported"
    )

    bands: CliPositionalArg[Path] = Field(description="band schedule of gradsim")
    to: Literal[
        "diffsynth",
        "simpletuner",
        "musubi",
        "diffusion-pipe",
        "ltx2",
        "ai-toolkit",
        "nemo",
    ] = Field(description="the trainer")
    clips: Path = Field(description="manifest of the training clips, with classes")
    config: Path = Field(
        description="the configuration you train with, or the script that launches it;"
        " it is not changed"
    )
    out: Path = Field(description="folder to write; it must not exist or be empty")
    boundary: float = Field(
        default=0.875,
        gt=0,
        lt=1,
        description="sigma at which the two networks of Wan 2.2 meet: 0.875 for T2V,"
        " 0.9 for I2V",
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
        options = parse(ExportOptions, argv, program)
        with loading():  # scipy
            from tqd_probe.exporting.export import export_schedule, export_text

        done = export_schedule(
            schedule=options.bands,
            to=options.to,
            clips=options.clips,
            config=options.config,
            out=options.out,
            shape=options.video_shape(),
            boundary=options.boundary,
        )
        print(export_text(done))
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
