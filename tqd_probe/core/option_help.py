"""Descriptions of the options, from the settings classes, for help and docs."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WORDS = {str: "TEXT", int: "INT", float: "FLOAT", Path: "PATH"}


@dataclass(frozen=True)
class OptionHelp:
    """The description of one option.

    Attributes:
        name: Name of the field, or its alias.
        heading: Concern under which it is listed.
        flag: What is written on the command line, such as ``--num-clips``.
        value: What follows the flag, such as ``INT`` or ``{auto,on,off}``; empty for a
            switch.
        sentence: What it does, with its unit.
        default: Its default in words; empty for a switch that is off, and where there
            is none.
        required: Whether it must be given.
        positional: Whether the value stands without a flag.
    """

    name: str
    heading: str
    flag: str
    value: str
    sentence: str
    default: str
    required: bool
    positional: bool

    @property
    def text(self) -> str:
        """The sentence with the default, or with ``(required)``."""
        if self.required and not self.positional:
            return f"{self.sentence} (required)"
        if self.default:
            return f"{self.sentence} (default: {self.default})"
        return self.sentence


def describe_options(settings: type[BaseModel]) -> list[OptionHelp]:
    """List the options of settings by heading.

    Headings come in the order in which the settings' base classes are written, options
    in the order of declaration. A field that a subclass declares again stays where it
    was first declared.

    Args:
        settings: The settings of a command.

    Returns:
        All options.
    """
    found: dict[str, list[OptionHelp]] = {}
    seen: set[str] = set()
    for owner in _bases_first(settings):
        for name in inspect.get_annotations(owner):
            if name in settings.model_fields and name not in seen:
                seen.add(name)
                heading = getattr(owner, "heading", "options")
                option = _describe(name, settings.model_fields[name], heading)
                found.setdefault(heading, []).append(option)
    return [option for options in found.values() for option in options]


def _bases_first(owner: type, seen: set[type] | None = None) -> Iterator[type]:
    """Walk a class's bases in the order they are written, each before the class."""
    seen = set() if seen is None else seen
    for base in owner.__bases__:
        if issubclass(base, BaseModel) and base not in seen:
            yield from _bases_first(base, seen)
    seen.add(owner)
    yield owner


def _describe(name: str, field: FieldInfo, heading: str) -> OptionHelp:
    """Put one field into words."""
    said = " ".join((field.description or "").split())
    sentence, _, default = said.removesuffix(")").partition(" (default: ")
    if not default:
        sentence, default = said, _default(field)
    kind = _plain(field.annotation)
    name = field.alias or name
    return OptionHelp(
        name=name,
        heading=heading,
        flag=_flag(name, field),
        value=_value(kind),
        sentence=sentence,
        default=default,
        required=field.is_required(),
        positional=_is_positional(field),
    )


def _plain(annotation: Any) -> Any:
    """Strip ``| None`` from a type."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else str
    return annotation


def _is_positional(field: FieldInfo) -> bool:
    """Return whether pydantic-settings takes the field without a flag."""
    return any("Positional" in str(mark) for mark in field.metadata)


def _flag(name: str, field: FieldInfo) -> str:
    """Return the flag of a field; a switch that is on shows how to turn it off."""
    if _is_positional(field):
        return name.upper()
    word = name.replace("_", "-")
    return f"--[no-]{word}" if field.default is True else f"--{word}"


def _value(kind: Any) -> str:
    """Return what follows the flag."""
    if get_origin(kind) is Literal:
        return "{" + ",".join(str(choice) for choice in get_args(kind)) + "}"
    return "" if kind is bool else _WORDS.get(kind, "TEXT")


def _default(field: FieldInfo) -> str:
    """Put a default into words; nothing for a switch that is off, or for None."""
    value = field.default
    if field.is_required() or value is None or value is False:
        return ""
    if value is True:
        return "on"
    return f"{value:g}" if isinstance(value, float) else str(value)
