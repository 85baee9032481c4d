"""What the command lines share: typed options, one-line errors, exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from tqd_probe.core.errors import GradientError, InputError, MainProcessFailed, TqdError

T = TypeVar("T", bound=BaseSettings)
logging.getLogger("tqd_probe").addHandler(logging.NullHandler())  # no stray stderr


class Options(BaseSettings):
    """Base of all command lines: flags come from fields, help from descriptions."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
        nested_model_default_partial_update=False,
        extra="forbid",
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *args: Any, **sources: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take options from the command line alone: no environment, no files.

        Args:
            settings_cls: The options class.
            *args: Sources that pydantic-settings offers; not used.
            **sources: The same by name.

        Returns:
            The sources used.
        """
        return (sources["init_settings"] if sources else args[0],)


def parse(options: type[T], argv: list[str] | None, program: str) -> T:
    """Parse a command line.

    Args:
        options: The options class.
        argv: Arguments; those of the process by default.
        program: Name shown in the help.

    Returns:
        The options.

    Raises:
        InputError: If an option is unknown, missing or out of range; names it.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        source: Any = CliSettingsSource(
            options, cli_prog_name=program, cli_parse_args=arguments
        )
        return options(**source())
    except SettingsError as error:
        text = " ".join(str(error.__cause__ or error).split())
        text = text.removeprefix("error parsing CLI: ")
        raise InputError(f"{text}; see {program} --help") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        given = first.get("input")
        shown = f" {given}" if isinstance(given, (str, int, float)) else ""
        if str(given) in message:
            shown = ""
        if not field:  # about several options; the message names them
            raise InputError(f"{message}; see {program} --help") from None
        raise InputError(f"--{field}{shown}: {message}; see {program} --help") from None


@dataclass
class Outcome:
    """How a command ended.

    Attributes:
        code: Exit code: 0 done, 2 bad input, 130 or 143 stopped by a signal.
    """

    code: int = 0


class _Stopped(BaseException):
    """SIGTERM arrived."""


@contextmanager
def main_guard() -> Iterator[Outcome]:
    """Turn errors a user can mend into one line on stderr and exit code 2.

    Yields:
        The outcome, whose code the command returns.
    """
    outcome = Outcome()

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        previous = None
    try:
        yield outcome
    except TqdError as error:
        outcome.code = 2
        # Every process of a launched run meets the same bad input; one says so.
        mine = isinstance(error, GradientError) or os.environ.get("RANK", "0") == "0"
        if mine and not isinstance(error, MainProcessFailed):
            _say(f"error: {error}")
    except (OSError, MemoryError) as error:
        outcome.code = 2
        _say(f"error: {type(error).__name__}: {error}; free the resource, or mend it")
    except KeyboardInterrupt:
        outcome.code = 130
        _say("stopped; the same command goes on where it was")
    except _Stopped:
        outcome.code = 143
        _say("stopped by SIGTERM; the same command goes on where it was")
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _say(text: str) -> None:
    """Write one line to stderr and to the run's log."""
    line = " ".join(text.split())
    logging.getLogger("tqd_probe").error(line)
    print(line, file=sys.stderr, flush=True)
