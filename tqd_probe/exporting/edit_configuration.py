"""Changes to a user's configuration: options of a command, keys of a TOML file."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import tomli_w

from tqd_probe.core.errors import InputError
from tqd_probe.core.structured_text import parse_structured
from tqd_probe.exporting.configuration_files import Literal, Options, get_table

INDENT = "  "


def set_options(words: list[str], start: int, changes: Options) -> list[str]:
    """Change options of a command.

    Args:
        words: Words of the command.
        start: Where its options begin.
        changes: Values by option without dashes; True sets a switch, None removes one.

    Returns:
        The words of the changed command; changed options stand at the end.
    """
    kept, dropping = list(words[:start]), False
    for word in words[start:]:
        if word.startswith("--"):
            dropping = word[2:].partition("=")[0] in changes
        if not dropping:
            kept.append(word)
    for name, value in changes.items():
        if value is not None:
            text = value if isinstance(value, str) else str(value)
            kept += [f"--{name}"] if value is True else [f"--{name}", text]
    return kept


def command_text(words: list[str]) -> str:
    """Write a command, an option a line.

    Args:
        words: Words of the command.

    Returns:
        Lines that end in a backslash but for the last.
    """
    lines, line = [], ""
    for word in words:
        quoted = quote(word)
        if word.startswith("--") and line:
            lines.append(line)
            line = INDENT + quoted
        else:
            line = f"{line} {quoted}" if line else quoted
    return " \\\n".join([*lines, line])


def quote(word: str) -> str:
    """Quote a word of a command; shell variables stay so but in a `Literal`."""
    if (
        "$" in word
        and not isinstance(word, Literal)
        and '"' not in word
        and "`" not in word
    ):
        return f'"{word}"'
    return shlex.quote(word)


def set_toml(text: str, section: str, changes: Options, path: Path) -> str:
    """Change keys of a TOML section; all else, comments too, stays as it is.

    Args:
        text: The file's text.
        section: Name of the section; empty for the top level.
        changes: Values by key; None removes one.
        path: The file, for the message.

    Returns:
        The changed text.

    Raises:
        InputError: If the file's form does not allow it.
    """
    wanted = parse_structured(text, ".toml")
    table = get_table(wanted, section, path) if section else wanted
    if section:
        wanted[section] = table
    lines: list[str] = []
    inside, header = section == "", None if section else 0
    for line in text.splitlines():
        if re.match(r"\s*\[", line):
            inside = line.partition("#")[0].strip() == f"[{section}]"
            header = len(lines) + 1 if inside else header
        key = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)
        if not (inside and key and key[1] in changes):
            lines.append(line)
    new = []
    for name, value in changes.items():
        table.pop(name, None)
        if value is not None:
            table[name] = value
            new.append(f"{name} = {toml_value(value)}")
    if header is None:
        lines += ["", f"[{section}]"]
        header = len(lines)
    changed = "\n".join([*lines[:header], *new, *lines[header:]]) + "\n"
    try:
        same = comparable(parse_structured(changed, ".toml")) == comparable(wanted)
    except ValueError:
        same = False
    if not same:
        names = ", ".join(changes)
        raise InputError(
            f"{path}: {names}: cannot be changed in [{section}]; write each key on one"
            " line, and the section under its own header"
        )
    return changed


def toml_value(value: Any) -> str:
    """Write a value as TOML, on one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if isinstance(value, dict):
        parts = [f"{toml_value(name)} = {toml_value(v)}" for name, v in value.items()]
        return "{" + ", ".join(parts) + "}"
    value = str(value) if isinstance(value, Literal) else value
    return tomli_w.dumps({"x": value}).partition("=")[2].strip()


def toml_text(table: Options, path: Path) -> str:
    """Write a table as TOML.

    Args:
        table: Its content.
        path: The file that it is from, for the message.

    Returns:
        The text.

    Raises:
        InputError: If TOML cannot hold it.
    """
    try:
        text = tomli_w.dumps(table)
        same = comparable(parse_structured(text, ".toml")) == comparable(table)
    except (AttributeError, TypeError, ValueError):  # null, say
        same = False
    if not same:
        raise InputError(f"{path}: cannot be written as TOML; give it as a TOML file")
    return text


def comparable(table: Options) -> str:
    """Write a table as text that is the same for the same content, NaN too."""
    return json.dumps(table, sort_keys=True, default=repr)
