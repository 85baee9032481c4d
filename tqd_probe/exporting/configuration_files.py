"""Trainers' configuration files: TOML, YAML, JSON, scripts that launch one."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from tqd_probe.core import text_files
from tqd_probe.core.errors import InputError
from tqd_probe.core.structured_text import FORMATS, parse_structured

SCRIPTS = (".sh", ".bash", ".bat", ".ps1", ".txt")
PIECE = re.compile(
    r"""'[^']*' | "(?:\\.|[^"\\])*"  # quoted
    | \$\((?:[^()]|\([^()]*\))*\) | \$\{[^}]*\}  # put in by the shell
    | \\[^\n] | (?![\^`]\n)[^\s;&|<>()'"\\]""",
    re.VERBOSE | re.DOTALL,
)
TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\f\v]+ | [\\^`](?:\n|\Z))
    | (?P<comment>\#[^\n]*)
    | (?P<redirection>&>>? | \d*(?:<<<|<<-?|<&|<>|<|>>|>&|>\||>))
    | (?P<end>[\n;&|()]+?)
    | (?P<word>(?:{PIECE.pattern})+)""",
    re.VERBOSE | re.DOTALL,
)

LARGEST = 10**300  # of a whole number: a float holds it
MOST = 10**9  # steps, epochs, repeats

Options = dict[str, Any]


class Literal(str):
    """A word in which the shell expands nothing."""


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a TOML, YAML or JSON file.

    Args:
        path: The file; its suffix says which of the three.

    Returns:
        Its content.

    Raises:
        InputError: If it is missing, damaged, of another kind or no table.
    """
    text = read_text(path)
    if path.suffix not in FORMATS:
        raise InputError(
            f"{path}: a configuration is one of {', '.join(FORMATS)}, or a script that"
            f" launches the trainer ({', '.join(SCRIPTS)})"
        )
    try:
        found = parse_structured(text, path.suffix)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read ({error}); correct it") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no table of settings; give the trainer's file")
    return found


def read_text(path: Path) -> str:
    """Read a trainer's text file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: If it is missing or is no text.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a configuration")
    return text_files.read_text(path)


def read_commands(path: Path, script: str) -> list[Options]:
    """Read the options that a script gives to a program, once per launch.

    Args:
        path: A shell script.
        script: Part of the program's file name, such as ``train.py``.

    Returns:
        For each launch, values by option without dashes; True for a switch.

    Raises:
        InputError: If the script cannot be read.
    """
    found = []
    for words in split_commands(path):
        at = [k for k, word in enumerate(words) if script in word]
        if at:
            found.append(parse_options(words[at[0] + 1 :]))
    return found


def split_commands(path: Path) -> list[list[str]]:
    """Split a script into the words of its commands, without redirections.

    Args:
        path: A shell script; lines that end in a backslash (``^`` or a backtick on
            Windows) go on.

    Returns:
        Words by command; `Literal` where the shell expands no ``$`` in one.

    Raises:
        InputError: If a quotation mark is not closed.
    """
    text = read_text(path).replace("\r\n", "\n")
    commands: list[list[str]] = [[]]
    place, dropping = 0, False
    while place < len(text):
        token = TOKEN.match(text, place)
        if token is None:
            line = text[place:].split("\n", 1)[0]
            raise InputError(f"{path}: {line[:60]!r}: No closing quotation; correct it")
        place = token.end()
        if token.lastgroup == "end":
            commands.append([])
        elif token.lastgroup == "word" and not dropping:
            commands[-1].append(unquoted(token[0]))
        if token.lastgroup != "space":
            dropping = token.lastgroup == "redirection"
    return [command for command in commands if command]


def unquoted(text: str) -> str:
    """Return a word of a script without its quotation marks."""
    found, literal = "", False
    for piece in PIECE.findall(text):
        if piece[0] == "'":
            part = piece[1:-1]
            literal |= "$" in part
        elif piece[0] == '"':
            part = re.sub(r'\\(["\\])', r"\1", piece[1:-1].replace("\\\n", ""))
        elif piece[0] == "\\":
            part = piece[1:]
            literal |= part == "$"
        else:
            part = piece
        found += part
    return Literal(found) if literal else found


def parse_options(words: list[str]) -> Options:
    """Parse the words after a program's name.

    Args:
        words: Such as ``["--shift", "3", "--fp8"]``.

    Returns:
        Values by option without dashes, numbers as numbers; True for a switch.
    """
    options: Options = {}
    name = None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            options[name] = number(value) if equals else True
            name = None if equals else name
        elif name is not None:
            options[name] = (
                number(word) if options[name] is True else f"{options[name]} {word}"
            )
    return options


def number(text: str) -> Any:
    """Return a word of a command as the number that it is, or as it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def get_number(options: Options, name: str, default: float, path: Path) -> float:
    """Return a setting that must be a number.

    Args:
        options: Settings by name.
        name: Its name.
        default: Its value where it is missing or null.
        path: The file, for the message.

    Returns:
        The number.

    Raises:
        InputError: If it is something else.
    """
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        value = number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{path}: {name}: {value!r} is not a number; correct it")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"{path}: {name}: a number of that length; correct it")
    if not math.isfinite(value):
        raise InputError(f"{path}: {name}: {value!r} is not finite; correct it")
    return float(value)


def get_positive(options: Options, name: str, default: float, path: Path) -> float:
    """Return a setting that must be a number above 0, such as a shift.

    Args:
        options: Settings by name.
        name: Its name.
        default: Its value where it is missing or null.
        path: The file, for the message.

    Returns:
        The number.

    Raises:
        InputError: If it is something else.
    """
    value = get_number(options, name, default, path)
    if value <= 0:
        raise InputError(f"{path}: {name}: {value:g} must be above 0; correct it")
    return value


def get_whole(options: Options, name: str, default: int, path: Path) -> int:
    """Return a setting that must be a count, such as steps.

    Args:
        options: Settings by name.
        name: Its name.
        default: Its value where it is missing or null.
        path: The file, for the message.

    Returns:
        The count.

    Raises:
        InputError: If it is no whole number from 1 to `MOST`.
    """
    value = get_number(options, name, default, path)
    if not 1 <= value <= MOST or value != round(value):
        raise InputError(
            f"{path}: {name}: {value:g} must be a whole number from 1 to {MOST};"
            " correct it"
        )
    return int(value)


def get_table(parent: Options, name: str, path: Path) -> Options:
    """Return a table inside a configuration; empty where it is missing.

    Args:
        parent: The table it is in.
        name: Its name.
        path: The file, for the message.

    Returns:
        The table.

    Raises:
        InputError: If it is no table.
    """
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path}: {name}: is no table of settings; correct it")
    return value


def find_beside(path: Path, name: str, key: str = "a file") -> Path:
    """Find a file that a configuration names: here, beside it, or from above it.

    Args:
        path: The configuration.
        name: The name in it; empty where it gives none.
        key: The setting that gives it, for the message.

    Returns:
        The file.

    Raises:
        InputError: If it is in none of these places.
    """
    above = path.absolute().parents  # scripts run from a folder above, mostly
    for found in (Path(name), path.parent / name, *(each / name for each in above)):
        if name and found.is_file():
            return found
    if not name:
        raise InputError(f"{path}: {key}: not set, and a run needs it; name the file")
    raise InputError(
        f"{path}: {name}: no such file; run from the folder that the script runs in"
    )
