"""TOML, YAML and JSON that people write."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:  # the library that became tomllib
    import tomli as tomllib

FORMATS = (".toml", ".yaml", ".yml", ".json")
MOST_VALUES = 1_000_000  # of a YAML document
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is refused, and ``1e-4`` is a number."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [
            self.construct_object(key, deep=True)
            for key, _ in node.value
            if key.tag != "tag:yaml.org,2002:merge"  # <<, which takes other keys over
        ]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"key {name!r} stands twice; keep one")
        return super().construct_mapping(node, deep)


def _check_size(value: Any, known: dict[int, int]) -> int:
    """Count the values of a document, aliases (``*name``) as often as they stand.

    A few lines of aliases of aliases make more values than any memory holds.

    Returns:
        Their number.

    Raises:
        ValueError: If there are more than `MOST_VALUES`, or a value holds itself.
    """
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) in known:
        size = known[id(value)]
        if not size:
            raise ValueError(
                "an alias (*) stands inside of what it names; write it out"
            )
        return size
    known[id(value)] = 0  # until it is counted
    parts = value.values() if isinstance(value, dict) else value
    size = 1 + sum(_check_size(part, known) for part in parts)
    if size > MOST_VALUES:
        raise ValueError(f"aliases (*) make more than {MOST_VALUES} values of it")
    known[id(value)] = size
    return size


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key of a JSON object that stands twice."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"key {name!r} stands twice; keep one")
    return dict(pairs)


# YAML 1.1 takes 1e-4 for text; people mean a number.
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789."))


def parse_structured(text: str, suffix: str) -> Any:
    """Parse TOML, YAML or JSON.

    Args:
        text: The text.
        suffix: Suffix of its file, one of `FORMATS`.

    Returns:
        Its content; None for an empty YAML file.

    Raises:
        ValueError: If it is damaged, or a YAML key stands twice; one line.
    """
    try:
        if suffix == ".toml":
            return tomllib.loads(text)
        if suffix == ".json":
            return json.loads(text, object_pairs_hook=_unique)
        found = yaml.load(text, _Loader)
        _check_size(found, {})
        return found
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).replace(' in "<unicode string>",', " at")
        raise ValueError(" ".join(reason.split())) from None
    except (AttributeError, KeyError, TypeError):  # PyYAML, of a tag that does not fit
        raise ValueError("a tag (!!) does not fit its value; leave it out") from None
