"""The command `tqd-probe`: the subcommands, called by name."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqd_probe.core.version import __version__

if TYPE_CHECKING:
    from tqd_probe.core.command_line import Options

COMMANDS = {
    "score": "score clips for motion and visual quality, or convert published scores",
    "gradsim": "measure gradient similarity over noise levels, derive a band schedule",
    "train": "train with a timestep distribution per clip",
    "verify": "compare samplers by short paired trials on your model and clips",
    "plot": "draw the figures of a gradsim run again",
    "export": "write a schedule as another trainer's own files",
    "preview": "draw the noise levels that a trainer's configuration really yields",
}


def load_command(name: str) -> Any:
    """Import the module of a subcommand.

    Args:
        name: One of `COMMANDS`.

    Returns:
        The module, with `main` and its class of options.
    """
    return import_module(f"tqd_probe.{name}")


def options_of(name: str) -> type[Options]:
    """Return the options of a subcommand.

    Args:
        name: One of `COMMANDS`.

    Returns:
        The class, such as `TrainOptions` of `tqd_probe.train`.
    """
    options: type[Options] = getattr(load_command(name), f"{name.title()}Options")
    return options


def overview(program: str) -> str:
    """List the subcommands.

    Args:
        program: How this command was called.

    Returns:
        Usage, and a line for each subcommand.
    """
    lines = [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [options]",
            "",
            "Measure on your own video diffusion checkpoint at which noise levels",
            "imbalanced clips teach what golden clips teach, and train by it.",
            "",
            "commands, in the order of use:",
            *lines,
            "",
            f"example:\n  {program} gradsim --ckpt tiny",
            "",
            f"{program} COMMAND --help explains a command.",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: the subcommand's; 0 for help; 2 for an unknown one.
    """
    arguments = sys.argv[1:] if argv is None else argv
    program = "tqd-probe"
    if Path(sys.argv[0]).name == "__main__.py":
        program = "python -m tqd_probe"
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(program))
        return 0
    if arguments[0] == "--version":
        print(f"tqd_probe {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        cure = f"did you mean {near[0]}?" if near else f"see {program} --help"
        print(f"error: {name}: no such command; {cure}", file=sys.stderr)
        return 2
    code: int = load_command(name).main(rest, f"{program} {name}")
    return code


if __name__ == "__main__":
    sys.exit(main())
