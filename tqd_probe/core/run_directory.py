"""The run directory of a command: its description (``run.json``), lock and log."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
from tqd_probe.core.locks import lock_file
from tqd_probe.core.version import __version__

DESCRIPTION_FILE = "run.json"
LOG_FILE = "log.txt"
log = logging.getLogger("tqd_probe")


class RunDescription(BaseModel):
    """Content of ``run.json``: everything that decides the results of a run."""

    settings: dict[str, Any]
    inputs: dict[str, Any]
    versions: dict[str, str]


def describe_run(
    settings: dict[str, Any], inputs: dict[str, Any], libraries: Iterable[str]
) -> RunDescription:
    """Describe a run.

    Args:
        settings: JSON values of the settings that decide results.
        inputs: Fingerprints of model, clips and other inputs.
        libraries: Packages whose versions are recorded.

    Returns:
        The description.
    """
    return RunDescription(
        settings=settings,
        inputs=inputs,
        versions={
            "tqd_probe": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in libraries},
        },
    )


def read_description(
    out: Path, what: str, ignored: Collection[str] = ()
) -> RunDescription | None:
    """Read the description of the run a directory holds; creates nothing.

    Args:
        out: The run directory; need not exist.
        what: What the directory should hold, such as ``run``, for messages.
        ignored: Files that may be there before ``run.json`` is written.

    Returns:
        The description, None for a new or empty directory.

    Raises:
        InputError: If the path is a file, or the directory holds something else.
    """
    if not str(out).strip("./ "):
        raise InputError(f"--out {out}: give the run a directory of its own")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; choose a directory")
    file = out / DESCRIPTION_FILE
    if not file.exists():
        content = out.iterdir() if out.is_dir() else ()
        if any(not p.name.startswith(".") and p.name not in ignored for p in content):
            raise InputError(
                f"--out {out}: not empty and not a {what}; choose another directory"
            )
        return None
    cure = "use another --out"
    try:
        return RunDescription.model_validate(
            read_json(file, "a run's configuration", cure=cure)
        )
    except ValidationError:
        raise InputError(f"{file}: damaged; {cure}") from None


def _never_accepted(name: str, known: Any, wanted: Any) -> bool:
    """Accept no change of a setting."""
    return False


def differences(
    known: RunDescription,
    wanted: RunDescription,
    accepted: Callable[[str, Any, Any], bool] = _never_accepted,
) -> list[str]:
    """List what differs between two descriptions, settings first.

    Args:
        known: The description in the run directory.
        wanted: The description of the present command.
        accepted: Tells whether a change of a setting (name, known value, wanted value)
            leaves the results of the known run valid.

    Returns:
        One phrase per difference.
    """
    found = []
    for name, value in wanted.settings.items():
        old = known.settings.get(name)
        if old != value and not accepted(name, old, value):
            found.append(f"--{name.replace('_', '-')} was {old}, now {value}")
    for name, value in wanted.inputs.items():
        if known.inputs.get(name) != value:
            found.append(f"{name} differ")
    return found


def shorten(changed: list[str]) -> str:
    """Join differences for a message, the first three of them.

    Args:
        changed: What `differences` returned.

    Returns:
        The phrases, separated by semicolons.
    """
    return "; ".join(changed[:3]) + ("; ..." if len(changed) > 3 else "")


def lock_directory(out: Path) -> IO[str]:
    """Reserve a run directory for this process.

    Args:
        out: The run directory; made if missing.

    Returns:
        The open lock file; the lock ends when it is closed or the process dies.

    Raises:
        InputError: If another process works in it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = open(out / ".lock", "w")  # noqa: SIM115 - open until the run ends
    except OSError as error:
        raise InputError(_not_writable(out, error)) from error
    if not lock_file(handle, out):
        handle.close()
        raise InputError(
            f"--out {out}: another process is working in it; wait for it, or use"
            " another --out"
        )
    return handle


class _LogFile(logging.FileHandler):
    """A log that says once that it cannot be written, and lets the run go on."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._said:
            self._said = True
            text = f"{self.baseFilename}: cannot be written ({error.strerror})"
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        with suppress(OSError):  # said already
            super().close()


def add_log_file(out: Path) -> logging.Handler:
    """Write log messages to ``log.txt`` of a run, from now on.

    Args:
        out: The run directory.

    Returns:
        The handler, for `remove_log_file`.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(out / LOG_FILE, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(_not_writable(out, error)) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return handler


def remove_log_file(handler: logging.Handler) -> None:
    """Stop writing log messages to a file.

    Args:
        handler: What `add_log_file` returned.
    """
    log.removeHandler(handler)
    handler.close()


def _not_writable(out: Path, error: OSError) -> str:
    """Name a directory that cannot be written, and the cure."""
    return (
        f"--out {out}: cannot be written ({error.strerror}); choose another directory"
    )
