"""Options of a command in a file: read for ``--config``, written by every run."""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged
from tqd_probe.core.known_files import OPTIONS_HEAD, TRAINERS, beside, explained
from tqd_probe.core.structured_text import parse_structured
from tqd_probe.core.text_files import read_text
from tqd_probe.core.version import __version__

CONFIG_FILE = "run.toml"
PIPELINE = "model_index.json"  # what makes a folder a diffusers pipeline
KINDS = (".toml", ".yaml", ".yml")
NOT_REPLAYED = {"overwrite", "plan", "resume"}  # about one call, not about the run


def takes_config(options: type[BaseModel]) -> bool:
    """Return whether a command takes ``--config``; some have a use of their own for it.

    Args:
        options: The options of the command.

    Returns:
        False if it declares an option of that name itself.
    """
    return "config" not in options.model_fields


def config_option(
    words: list[str], options: type[BaseModel], program: str
) -> tuple[Path | None, list[str]]:
    """Take ``--config`` out of the words of a command line.

    A folder is the pipeline that lends a single file its configuration, as diffusers'
    ``from_single_file(..., config=...)`` takes it: the same as ``--pipeline``.

    Args:
        words: The arguments.
        options: The options of the command.
        program: Name of the command, for messages.

    Returns:
        The file, if one is given, and the other words.

    Raises:
        InputError: If the option is given without a file, or twice.
    """
    files, others, waiting = [], [], iter(words)
    for word in waiting:
        flag, equals, value = word.partition("=")
        if flag != "--config":
            others.append(word)
            continue
        value = value if equals else next(waiting, "")
        if not value or value.startswith("-"):
            raise InputError(f"--config needs a file; see {program} --help")
        place = Path(value)
        run = (place / CONFIG_FILE).is_file() and not (place / PIPELINE).is_file()
        if place.is_dir() and not run and "pipeline" in options.model_fields:
            others += ["--pipeline", value]
        else:
            files.append(Path(value))
    if len(files) > 1:
        raise InputError("--config is given twice; give one file")
    return (files[0] if files else None), others


def read_config(path: Path, options: type[BaseModel]) -> dict[str, Any]:
    """Read options from a file.

    Keys are the names of options, with hyphens or underscores. Values are written as on
    the command line; lists are joined by commas where an option takes a text.

    Args:
        path: A TOML or YAML file (``.toml``, ``.yaml``, ``.yml``).
        options: The options of the command.

    Returns:
        Values by option, as the command line would give them.

    Raises:
        InputError: If the file cannot be read, is no table of options, or names an
            option that the command does not have.
    """
    with explained(
        path, {"options", "empty", "folder"}, lambda kind: _cure(path, kind)
    ):
        return _read_config(path, options)


def _cure(path: Path, kind: str) -> str:
    """Say what to give instead of a file of another kind."""
    found = beside(path, CONFIG_FILE) if path.is_dir() else None
    if found:
        return f"give {found}"
    if kind in TRAINERS:
        return "which tqd-probe preview and export read; give options of this command"
    return "give the run.toml of a run, or options of this command in such a file"


def _read_config(path: Path, options: type[BaseModel]) -> dict[str, Any]:
    """Read options from a file; faults are not explained."""
    known = {field.alias or name: field for name, field in options.model_fields.items()}
    found: dict[str, Any] = {}
    for key, value in _parsed(path).items():
        name = str(key).replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; see --help"
            raise InputError(
                f"--config {path}: {key} is no option of this command{hint}"
            )
        if name in found:
            raise InputError(f"--config {path}: {key} is given twice; keep one")
        found[name] = _as_typed(path, name, value, known[name])
    return found


def write_config(settings: BaseModel, path: Path) -> None:
    """Write the options that a run was given, so that ``--config`` replays it.

    Options that were left at their defaults are left out.

    Args:
        settings: The settings of the run as they were given, before any is resolved.
        path: The file.
    """
    given = settings.model_dump(
        mode="json",
        exclude_unset=True,
        exclude_none=True,
        by_alias=True,
        exclude=NOT_REPLAYED,
    )
    head = f"{OPTIONS_HEAD}{__version__}; replay with --config {path.name}\n"
    with staged(path) as temporary:
        temporary.write_text(head + tomli_w.dumps(given), encoding="utf-8")


def _parsed(path: Path) -> dict[str, Any]:
    """Return the content of a TOML or YAML file that holds a table."""
    kind = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"--config {path}: is a folder; give a file of options")
    if kind not in KINDS:
        raise InputError(f"--config {path}: must be a {' or '.join(KINDS)} file")
    if not path.is_file():
        raise InputError(f"--config {path}: no such file; check the path")
    try:
        found = parse_structured(read_text(path), kind)
    except ValueError as error:
        raise InputError(
            f"--config {path}: cannot be read ({error}); correct it"
        ) from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(
            f"--config {path}: holds no options; write each as {_example(kind)}"
        )
    return found


def _example(kind: str) -> str:
    return "num_clips = 24" if kind == ".toml" else "num_clips: 24"


def _as_typed(path: Path, name: str, value: Any, field: FieldInfo) -> Any:
    """Return a value as if it were typed, so that it is checked in the same way."""
    kinds = _kinds(field.annotation)
    if isinstance(value, bool):
        if bool in kinds:
            return value
        if "on" in kinds:  # YAML reads on and off as truth values
            return "on" if value else "off"
    elif isinstance(value, (str, int, float)):
        return value if isinstance(value, str) else repr(value)
    elif isinstance(value, list) and all(
        isinstance(each, (str, int, float)) and not isinstance(each, bool)
        for each in value
    ):
        return ",".join(str(each) for each in value)
    if value is None:
        raise InputError(
            f"--config {path}: {name} has no value; give one, or leave the key out"
        )
    raise InputError(
        f"--config {path}: {name} must be a single value, as on the command line: a"
        " number, a text in quotes, or true or false"
    )


def _kinds(annotation: Any) -> set[Any]:
    """List the types and words that an option may have."""
    if get_origin(annotation) in (Union, types.UnionType):
        return set().union(*(_kinds(each) for each in get_args(annotation)))
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {annotation}
