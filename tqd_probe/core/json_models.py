"""JSON files read into typed models; a fault is one line with file and field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json

M = TypeVar("M", bound=BaseModel)


class StrictModel(BaseModel):
    """Base of the models of our files: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


def read_model(path: Path, model: type[M], what: str, cure: str) -> M:
    """Read and validate a JSON file.

    Args:
        path: The file.
        model: What its content must satisfy; types are not coerced.
        what: What the file should be, such as ``a band schedule``, for the message.
        cure: What to do about a fault, for the message.

    Returns:
        The content.

    Raises:
        InputError: With the file and the JSON path of the first fault.
    """
    value = read_json(path, what, allow_nan=True, cure=cure)
    try:
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {first_fault(error)}; {cure}") from None


def first_fault(error: ValidationError) -> str:
    """Write the first fault of a validation in one phrase.

    Args:
        error: What pydantic raised.

    Returns:
        JSON path and message.
    """
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    inner = re.match(r"[\w.:]+: ", message)  # the message goes on with the path
    return f"{where}{'.' if inner else ': '}{message}"
