"""What the command lines share: typed options, grouped help, one-line errors."""

from __future__ import annotations

import errno
import inspect
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from types import FrameType
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from tqd_probe.core.config_file import (
    config_option,
    read_config,
    takes_config,
)
from tqd_probe.core.errors import GradientError, InputError, MainProcessFailed, TqdError
from tqd_probe.core.file_names import is_text, shown
from tqd_probe.core.option_help import describe_options
from tqd_probe.core.option_parser import OptionParser
from tqd_probe.core.shared_settings import HomePaths
from tqd_probe.core.signals import interrupts_raised

T = TypeVar("T", bound="Options")
STDOUT = 1  # its file descriptor
CURES = {
    errno.ENOSPC: "free disk space, then run it again",
    errno.EDQUOT: "free disk space, then run it again",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOENT: "check the path",
}
LESS_MEMORY = (
    "end other programs, or ask for less: smaller clips or batches; gradsim, train and"
    " verify also with --checkpointing on, --dtype bf16, --quantise or --offload"
)
logging.getLogger("tqd_probe").addHandler(logging.NullHandler())  # no stray stderr


class Options(HomePaths, BaseSettings):
    """Base of all command lines: flags come from fields, help from descriptions.

    The class docstring is the command's description.

    Attributes:
        writes: What each written file holds, by name.
        example: Arguments of a small example.
        appendix: Reference text at the end of the help.
    """

    model_config = SettingsConfigDict(
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        nested_model_default_partial_update=False,
        extra="forbid",
        allow_inf_nan=False,
    )
    writes: ClassVar[dict[str, str]] = {}
    example: ClassVar[str] = ""
    appendix: ClassVar[str] = ""

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
        program: Name shown in help and errors.

    Returns:
        The options.

    Raises:
        InputError: If an option is unknown, missing or out of range; names it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    odd = next((each for each in words if not is_text(each)), None)
    if odd is not None:
        raise InputError(
            f"{shown(odd)}: is not {sys.getfilesystemencoding().upper()}, and run"
            " directories keep options as text; rename that file or folder"
        )
    described = describe_options(options)
    file, filed = None, {}
    if takes_config(options):
        file, words = config_option(words, options, program)
        filed = read_config(file, options) if file else {}
    parser = OptionParser(
        described,
        program,
        description=inspect.cleandoc(options.__doc__ or ""),
        end=_end_of_help(options, program),
        config=takes_config(options),
        filed=filed,
    )
    typed: dict[str, Any] = {}
    try:
        source: Any = CliSettingsSource(
            options,
            cli_parse_args=words,
            root_parser=parser,
            add_argument_method=OptionParser.add_option,
        )
        typed = source()
        given = filed | typed
        empty = [each.flag for each in described if given.get(each.name) == ""]
        if empty:  # a path would be the folder that the command runs in
            text = f"{empty[0]}: is empty; give a value, or leave it out"
            raise InputError(f"{text}; see {program} --help")
        return options(**given)
    except SettingsError as error:
        text = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{text}; see {program} --help") from None
    except ValidationError as error:
        fault = _first_fault(error, [each.name for each in described])
        place = error.errors()[0]["loc"]
        if file and place and place[0] in filed and place[0] not in typed:
            fault = f"--config {file}: {fault}"
        raise InputError(f"{fault}; see {program} --help") from None


def _end_of_help(options: type[Options], program: str) -> str:
    """Return the end of the help: files written, an example, reference text."""
    parts = []
    if options.writes:
        lines = [f"  {name:<26}{text}" for name, text in options.writes.items()]
        parts.append("\n".join(["files written:", *lines]))
    if options.example:
        parts.append(f"example:\n  {program} {options.example}")
    return "\n\n".join([*parts, options.appendix]).strip()


def _first_fault(error: ValidationError, order: list[str]) -> str:
    """Name the missing options, or the fault of the first faulty one."""
    faults = error.errors()
    missing = [str(each["loc"][0]) for each in faults if each["type"] == "missing"]
    if missing:
        flags = ", ".join(_flag(name) for name in sorted(missing, key=order.index))
        return f"{flags} {'is' if len(missing) == 1 else 'are'} required"
    first = faults[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not first["loc"]:  # about several options; the message names them
        return message
    given = first.get("input")
    named = not isinstance(given, (str, int, float)) or repr(given) in message
    flag = _flag(str(first["loc"][0]))
    return f"{flag}: {message}" if named else f"{flag} {given}: {message}"


def _flag(name: str) -> str:
    """Return the flag of an option."""
    return f"--{name.replace('_', '-')}"


@dataclass
class CommandOutcome:
    """How a command ended, and the hint that is printed when it is stopped.

    Attributes:
        code: Exit code: 0 done, 2 bad input, 130 or 143 stopped by a signal.
        resumes: Whether the same command continues where this one stopped; where a run
            directory decides, what tells whether there is something to continue.
    """

    code: int = 0
    resumes: bool | Callable[[], bool] = False


class _Terminated(BaseException):
    """SIGTERM arrived."""


@contextmanager
def main_guard() -> Iterator[CommandOutcome]:
    """Turn errors that a user can cure into one line on stderr and exit code 2.

    Yields:
        The outcome, whose code the command returns.

    Raises:
        RuntimeError: Whatever else torch raises; a lack of memory is one line.
    """
    outcome = CommandOutcome()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # an ASCII terminal shows \\xe9 for it
            stream.reconfigure(errors="backslashreplace")

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    try:
        previous = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread
        previous = None
    try:
        with interrupts_raised(lambda: outcome.code):
            yield outcome
    except TqdError as error:
        outcome.code = 2
        # Every process of a launched run meets the same bad input; one reports it.
        first = os.environ.get("RANK", "0") == "0" or isinstance(error, GradientError)
        if first and not isinstance(error, MainProcessFailed):
            _report(f"error: {error}")
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _stdout_is_closed():
            outcome.code = 128 + signal.SIGPIPE
        else:
            outcome.code = 2
            _report(f"error: {_describe(error)}")
    except MemoryError as error:
        outcome.code = 2
        shown = f" ({error})" if str(error) else ""
        _report(f"error: out of memory{shown}; end other programs, or ask for less")
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        outcome.code = 2
        said = ". ".join(str(error).split(". ")[:2])[:200]  # what was asked for
        _report(f"error: out of memory ({said}); {LESS_MEMORY}")
    except KeyboardInterrupt:
        outcome.code = 128 + signal.SIGINT
        _report(f"stopped{_resume_hint(outcome)}")
    except _Terminated:
        outcome.code = 128 + signal.SIGTERM
        _report(f"stopped by SIGTERM{_resume_hint(outcome)}")
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch lacks memory, on a GPU or a CPU."""
    if "torch" not in sys.modules:  # takes seconds to load
        return False
    from tqd_probe.core.memory import is_out_of_memory

    return is_out_of_memory(error)


def _resume_hint(outcome: CommandOutcome) -> str:
    """Return a hint that the same command resumes, where it does."""
    if callable(outcome.resumes):
        if outcome.resumes():
            return "; the same command resumes"
        return " before there was anything to resume; the same command starts anew"
    return "; the same command resumes" if outcome.resumes else ""


def _stdout_is_closed() -> bool:
    """Return whether stdout is a pipe whose reader, such as head, has ended."""
    waiting = select.poll()
    waiting.register(STDOUT, select.POLLOUT)
    ended = any(event & select.POLLERR for _, event in waiting.poll(0))
    if ended:  # drop what is left, or Python would complain at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
    return ended


def _describe(error: OSError) -> str:
    """Write an operating system error as place, fault and cure."""
    place = error.filename or "a file or connection"
    fault = error.strerror or str(error) or type(error).__name__
    cure = CURES.get(error.errno or 0, "check that place, then run it again")
    return f"{place}: {fault.lower()}; {cure}"


def _report(text: str) -> None:
    """Write one line to stderr and to the run's log."""
    line = " ".join(text.split())
    logging.getLogger("tqd_probe").error(line)
    print(line, file=sys.stderr, flush=True)
