"""What a trainer's configuration really draws: `python -m tqd_probe.preview CONFIG`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.errors import InputError
from tqd_probe.core.signals import loading
from tqd_probe.exporting.shape_settings import VideoShapeSettings

PROGRAM = "python -m tqd_probe.preview"
TrainerName = Literal[
    "diffsynth",
    "simpletuner",
    "musubi",
    "diffusion-pipe",
    "ltx2",
    "ai-toolkit",
    "nemo",
    "fastvideo",
    "tqd-probe",
]


class PreviewOptions(VideoShapeSettings, Options):
    """Draw the noise levels that a trainer's configuration really yields.

    In the terminal, and with --out as a figure: per data set and expert, weighed by
    repeats, beside a schedule's bands. Settings that are ignored or mean something else
    than they say are named. Needs no GPU and no measurement.
    """

    heading: ClassVar[str] = "arguments"
    writes: ClassVar[dict[str, str]] = {"FIG": "the figure, with --out FIG"}
    example: ClassVar[str] = "train_lora.toml --trainer diffusion-pipe"

    config: CliPositionalArg[Path] = Field(
        description="the trainer's configuration, a script that launches it, or a run"
        " directory of tqd-probe train"
    )
    trainer: TrainerName | None = Field(
        default=None,
        description="the trainer it is of (default: recognised by its keys)",
    )
    schedule: Path | None = Field(
        default=None,
        description="band schedule of gradsim, bands.json (default: none)",
    )
    out: Path | None = Field(
        default=None,
        description="PNG file of the figure (default: drawn in the terminal alone)",
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
        options = parse(PreviewOptions, argv, program)
        show(options)
    return outcome.code


def show(options: PreviewOptions) -> None:
    """Print the preview, and draw it where a figure is asked for.

    Args:
        options: The options.

    Raises:
        InputError: If a file is missing or at fault.
    """
    with loading():  # scipy
        from tqd_probe.exporting.preview_table import (
            BLOCKS,
            PLAIN_BLOCKS,
            preview_text,
        )
        from tqd_probe.exporting.registry import find_format
        from tqd_probe.schedules.band_schedule import BandSchedule

    if options.out is not None:
        _check_figure(options.out, [options.config, options.schedule])
    schedule = BandSchedule.load(options.schedule) if options.schedule else None
    trainer = find_format(options.config, options.trainer)
    preview = trainer.preview(options.config, options.video_shape())
    blocks = BLOCKS if can_print(BLOCKS) else PLAIN_BLOCKS
    print(preview_text(preview, schedule, blocks))
    if options.out is not None:
        with loading():  # matplotlib
            from tqd_probe.plots.preview_figure import preview_figure
            from tqd_probe.plots.save import write_figure

        print(write_figure(preview_figure(preview, schedule), options.out))


def can_print(text: str) -> bool:
    """Return whether the terminal shows all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _check_figure(out: Path, inputs: list[Path | None]) -> None:
    """Refuse a figure that is no PNG file, or would replace what is read."""
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: the figure is a PNG file; end its name in .png")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; give a file")
    if out.resolve() in [path.resolve() for path in inputs if path]:
        raise InputError(f"--out {out}: is read as well; choose another file")


if __name__ == "__main__":
    sys.exit(main())
