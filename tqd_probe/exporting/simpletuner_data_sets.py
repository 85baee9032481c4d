"""SimpleTuner: the list of data sets that a run names, and the share of each.

Rules by `documentation/DATALOADER.md`, `configuration/json_file.py` and
`data_backend/runtime/dataloader_iterator.py`, read 2026-08.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqd_probe.core.errors import InputError
from tqd_probe.core.structured_text import parse_structured
from tqd_probe.exporting.configuration_files import (
    Options,
    find_beside,
    get_number,
    read_text,
)
from tqd_probe.exporting.run_length import RunLength

EXAMPLES = "config/examples/"


def backends_file(options: Options, path: Path) -> Path:
    """Find the list of data sets of a run.

    A name in ``config/examples`` is one of the examples that come with the trainer,
    where that folder is not there (`configuration/json_file.py`).

    Args:
        options: Settings of the run.
        path: Their file.

    Returns:
        The file.

    Raises:
        InputError: If there is none.
    """
    name = str(options.get("data_backend_config") or "")
    example = name.removeprefix(EXAMPLES)
    for folder in path.absolute().parents if example != name else ():
        if folder.name == "examples" and (folder / example).is_file():
            return folder / example
    return find_beside(path, name, "data_backend_config")


def read_backends(options: Options, path: Path) -> list[Options]:
    """Read the data sets that are trained on.

    Args:
        options: Settings of the run.
        path: Their file.

    Returns:
        Entries of ``data_backend_config`` that hold images or videos.

    Raises:
        InputError: If there is no such file, or it is no list.
    """
    source = backends_file(options, path)
    try:
        found: Any = parse_structured(read_text(source), ".json")
    except ValueError as error:
        raise InputError(f"{source}: is not JSON ({error}); correct it") from None
    if not isinstance(found, list) or not all(isinstance(e, dict) for e in found):
        raise InputError(f"{source}: is no list of data sets; give one object each")
    kept = [
        each
        for each in found
        if each.get("dataset_type", "image") in ("image", "video")
        and not each.get("disabled")
    ]
    if not kept:
        raise InputError(f"{source}: no data set of images or videos is enabled")
    return kept


def draw_shares(
    options: Options, backends: list[Options], length: RunLength, path: Path
) -> list[float | None]:
    """Return the share of draws of each data set in an epoch.

    Args:
        options: Settings of the run.
        backends: Settings of the data sets.
        length: Their clips and repeats.
        path: The file of the run's settings, for messages.

    Returns:
        A share for each: by clips and repeats, or where clips are not here and draws
        are uniform, by probability; None where it is not known.

    Raises:
        InputError: If a probability is below 0, or all are 0.
    """
    weights = [get_number(each, "probability", 1.0, path) for each in backends]
    if min(weights) < 0:
        raise InputError(
            f"{path}: data_backend_config: probability: {min(weights):g} must be 0 or"
            " above; correct it"
        )
    if len(backends) == 1:
        return [1.0]
    if length.epoch_draws:
        return length.shares
    if options.get("data_backend_sampling", "auto-weighting") != "uniform":
        return [None] * len(backends)
    if not 0 < sum(weights) < 1e300:
        raise InputError(
            f"{path}: data_backend_config: probability: sums to {sum(weights):g}, so"
            " that nothing can be drawn; give one data set more than 0"
        )
    return [weight / sum(weights) for weight in weights]
