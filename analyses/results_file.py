"""How a study is run and how its results are written: once for all scripts.

Every script is a module with a command line of its own. `study_parser` makes it, with
``--results`` for the file to write; `write_results` writes what was found below the
command that found it (every option, seeds among them), the machine and the versions;
`run_script` turns errors that a user can cure into one line and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from tqd_probe.core.command_line import main_guard
from tqd_probe.core.files import write_json

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "scipy")


def module_of(script: str) -> str:
    """Return the name that ``python -m`` takes.

    Args:
        script: Path of a script in this repository, such as ``__file__``.

    Returns:
        For example ``analyses.tiny.maturity``.
    """
    parts = Path(script).resolve().with_suffix("").parts
    first = max(i for i, part in enumerate(parts) if part in ("analyses", "figures"))
    return ".".join(parts[first:])


def script_parser(script: str, description: str | None) -> argparse.ArgumentParser:
    """Return a command line whose help is the script's docstring.

    Args:
        script: ``__file__`` of the script.
        description: ``__doc__`` of the script.

    Returns:
        The parser.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module_of(script)}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def study_parser(script: str, description: str | None) -> argparse.ArgumentParser:
    """Return the command line of a script that writes one results file.

    Args:
        script: ``__file__`` of the script.
        description: ``__doc__`` of the script.

    Returns:
        The parser, with ``--results``.
    """
    parser = script_parser(script, description)
    path = Path(script).resolve()
    parser.add_argument(
        "--results",
        type=Path,
        default=path.parent / "results" / f"{path.stem}.json",
        help="file to write",
    )
    return parser


def command_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """Return the command that was run, without the places of one machine.

    Args:
        parser: The script's parser.
        args: What it parsed.

    Returns:
        The command; folders are shown by the option's name, and the file of results
        and options that were not given are left out.
    """
    words = [parser.prog]
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        given = value is not None and value is not False and value != ""
        if not given or action.dest in ("help", "results"):
            continue
        if not action.option_strings:
            words.append(str(action.metavar or action.dest).upper())
            continue
        words.append(action.option_strings[-1])
        if value is not True:
            words.append(_shown(action.dest, value))
    return " ".join(words)


def _shown(name: str, value: Any) -> str:
    """Write an option's value."""
    if isinstance(value, Path):
        return name.upper()
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    folder = isinstance(value, str) and "/" in value
    return shlex.quote(Path(value).name if folder else str(value))


def machine() -> dict[str, Any]:
    """Describe the machine, as far as times depend on it."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            models = [line for line in handle if line.startswith("model name")]
        name = models[0].split(":")[1].strip()
    except (OSError, IndexError):  # not Linux
        pass
    import torch

    return {
        "processor": name,
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that numbers depend on."""
    found = {"python": platform.python_version()}
    return found | {name: version(name) for name in LIBRARIES}


def write_results(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    found: dict[str, Any],
    path: Path | None = None,
) -> None:
    """Write what a study found, and how.

    Args:
        parser: The script's parser.
        args: What it parsed.
        found: The results.
        path: The file; ``--results`` by default.
    """
    path = path or args.results
    made = {
        "command": command_of(parser, args),
        "machine": machine(),
        "versions": versions(),
    }
    write_json(path, made | found)
    print(path)


def run_script(main: Callable[[], None]) -> NoReturn:
    """Run a script's `main` and leave with its exit code.

    Args:
        main: The script.

    Raises:
        SystemExit: Always: 0, or 2 after an error of one line.
    """
    with main_guard() as outcome:
        main()
    raise SystemExit(outcome.code)
